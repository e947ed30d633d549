"""`task.acquire`: take a pending task."""

from collections.abc import Callable

from msgspec.structs import replace

from resonate_broker import places, rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import TaskAcquire


def task_acquire(
    request: TaskAcquire, is_limited: Callable[[str], bool] = lambda group: False
) -> Operation:
    """Take the task at the version of its hint; the version goes up and fences older holders.

    A hint has a place among those of its group. Who comes without one is refused if there is none
    left, and the task waits for its turn.

    Args:
        request: what is wanted.
        is_limited: whether a group has limits, or may have some.
    """
    preload = (request.id,) if request.preload else ()
    state: WorkingState = yield Load(ids=(request.id,), preload=preload)
    promise = rules.observe(state, request.id)
    if promise is None or promise.task is None:
        return (yield Commit(rules.refused(responses.NOT_FOUND, f"no task {request.id!r}")))
    task = promise.task
    if task.state != "pending" or task.version != request.version:
        reason = (
            f"task {request.id!r} is {task.state} at version {task.version}, the request says "
            f"pending at version {request.version}"
        )
        return (yield Commit(rules.refused(responses.CONFLICT, reason)))
    refused = yield from places.refusal(state, promise, is_limited)
    if refused is not None:
        return (yield Commit(refused))
    more = rules.lacking(state, promise) if request.preload else None
    if more is not None:
        yield more
    task = rules.acquired(task, request.pid, request.lease_ms, state.now_ms)
    promise = replace(promise, task=task)
    state.put(promise)
    return (yield Commit(rules.granted(state, promise, preloaded=request.preload)))
