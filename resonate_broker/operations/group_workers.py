"""`group.workers`: the workers that have said hello lately."""

from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.roster import Roster
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import GroupWorkers
from resonate_sdk.protocol.responses import Answer, WorkerPage


def group_workers(request: GroupWorkers, roster: Roster) -> Operation:
    """Answer with what they said; a server that has just begun knows them half a minute later."""
    yield Load()
    page = WorkerPage(workers=roster.workers(request.group))
    return (yield Commit(Answer(responses.OK, page)))
