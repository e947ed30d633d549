"""`task.continue`: let a halted task go on."""

from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import TaskContinue
from resonate_sdk.protocol.responses import Answer, Nothing


def task_continue(request: TaskContinue) -> Operation:
    """The task is pending at the version at which it was halted, and dispatched at once."""
    state: WorkingState = yield Load(ids=(request.id,))
    promise = rules.observe(state, request.id)
    if promise is None or promise.task is None:
        return (yield Commit(rules.refused(responses.NOT_FOUND, f"no task {request.id!r}")))
    task = promise.task
    if task.state != "halted":
        reason = f"task {request.id!r} is {task.state}, only one that is halted can be continued"
        return (yield Commit(rules.refused(responses.CONFLICT, reason)))
    state.put(replace(promise, task=rules.to_pending(task, state.now_ms)))
    return (yield Commit(Answer(responses.OK, Nothing())))
