"""`task.fulfill`: settle the promise of a held task."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import TaskFulfill
from resonate_sdk.protocol.responses import Answer, PromiseData


def task_fulfill(request: TaskFulfill) -> Operation:
    """Settle the promise as the holder of its task."""
    state: WorkingState = yield Load(ids=(request.id,), settling=(request.id,))
    held = rules.held(state, request.id, request.version)
    if isinstance(held, Answer):
        return (yield Commit(held))
    promise, _ = held
    settle = request.settlement
    promise = rules.settle(state, promise, settle.state, settle.value)
    return (yield Commit(Answer(responses.OK, PromiseData(promise=rules.record(promise)))))
