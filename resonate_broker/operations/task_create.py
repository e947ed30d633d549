"""`task.create`: create a promise and run it here, or take over one that nobody runs."""

from collections.abc import Callable

from msgspec.structs import replace

from resonate_broker import places, rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses, tags
from resonate_sdk.protocol.requests import TaskCreate, create_fault
from resonate_sdk.protocol.responses import Answer
from resonate_store.state import Promise


def task_create(
    request: TaskCreate, is_limited: Callable[[str], bool] = lambda group: False
) -> Operation:
    """Answer with the task: acquired by the caller, or fulfilled if the promise is settled.

    If its group has no place left the promise is created all the same, and its task waits for one.

    Args:
        request: what is wanted.
        is_limited: whether a group has limits, or may have some.
    """
    create = request.promise
    fault = create_fault(create, acquire=True)
    if fault is not None:
        return rules.refused(responses.MALFORMED, fault)
    preload = (create.id,) if request.preload else ()
    # If the promise is new, only the request says what its branch is called.
    branch = create.tags.get(tags.BRANCH, create.id)
    branches = (branch,) if request.preload and branch != create.id else ()
    state: WorkingState = yield Load(ids=(create.id,), preload=preload, branches=branches)
    promise = rules.observe(state, create.id)
    if promise is None:
        promise = rules.born(create, state.now_ms)
        state.put(promise)
    elif promise.task is None:
        reason = f"promise {create.id!r} exists without resonate:target"
        return (yield Commit(rules.refused(responses.UNPROCESSABLE, reason)))
    refused = yield from places.refusal(state, promise, is_limited)
    if refused is not None:
        return (yield Commit(refused))
    more = rules.lacking(state, promise) if request.preload else None
    if more is not None:
        yield more
    return (yield Commit(_take(state, promise, request)))


def _take(state: WorkingState, promise: Promise, request: TaskCreate) -> Answer:
    task = promise.task
    assert task is not None, promise.id
    match task.state:
        case "pending":
            task = rules.acquired(task, request.pid, request.lease_ms, state.now_ms)
            promise = replace(promise, task=task)
            state.put(promise)
        case "fulfilled":
            pass
        case "acquired" | "suspended" | "halted":
            reason = f"task {promise.id!r} exists and is {task.state}"
            return rules.refused(responses.CONFLICT, reason)
    return rules.granted(state, promise, preloaded=request.preload)
