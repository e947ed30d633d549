"""`group.get`: the limits of a worker group, and how many executions it has."""

from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_broker.places import group_record, with_use
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import GroupGet
from resonate_sdk.protocol.responses import Answer, GroupData


def group_get(request: GroupGet) -> Operation:
    """Answer with the limits; a group that nobody has limited has none."""
    state: WorkingState = yield Load(groups=(request.name,))
    group = state.group(request.name)
    record = group_record(request.name, group)
    if group is not None:
        record = with_use(record, group, state.now_ms, request.key)
    return (yield Commit(Answer(responses.OK, GroupData(group=record))))
