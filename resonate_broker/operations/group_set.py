"""`group.set`: limit a worker group, or let it go."""

from collections.abc import Callable

from msgspec.structs import replace

from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_broker.places import group_record, with_use
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import GroupSet
from resonate_sdk.protocol.responses import Answer, GroupData
from resonate_store.state import Group


def group_set(request: GroupSet, on_limits: Callable[[str], None]) -> Operation:
    """Replace the limits; what runs already goes on, and counts.

    Args:
        request: the limits.
        on_limits: told when those of a group have changed.
    """
    state: WorkingState = yield Load(groups=(request.name,))
    limits = {
        "concurrency": request.concurrency,
        "key_concurrency": request.key_concurrency,
        "rate": request.rate,
        "key_rate": request.key_rate,
    }
    if any(limit is not None for limit in limits.values()):
        group = state.group(request.name) or Group(name=request.name)
        state.put_group(replace(group, **limits, starts={}))
    else:
        state.delete_group(request.name)
    set_group = state.group(request.name)
    record = group_record(request.name, set_group)
    if set_group is not None:
        record = with_use(record, set_group, state.now_ms, None)
    answer = yield Commit(Answer(responses.OK, GroupData(group=record)))
    on_limits(request.name)
    return answer
