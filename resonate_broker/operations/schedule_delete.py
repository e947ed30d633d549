"""`schedule.delete`: end a schedule."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import ScheduleDelete
from resonate_sdk.protocol.responses import Answer, Nothing


def schedule_delete(request: ScheduleDelete) -> Operation:
    """The schedule is gone; the promises it has created stay as they are."""
    state: WorkingState = yield Load(schedules=(request.id,))
    if state.schedule(request.id) is None:
        return (yield Commit(rules.refused(responses.NOT_FOUND, f"no schedule {request.id!r}")))
    state.delete_schedule(request.id)
    return (yield Commit(Answer(responses.OK, Nothing())))
