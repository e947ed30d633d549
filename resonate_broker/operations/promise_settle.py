"""`promise.settle`: settle a promise."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import PromiseSettle
from resonate_sdk.protocol.responses import Answer, PromiseData


def promise_settle(request: PromiseSettle) -> Operation:
    """Settle the promise; one that is settled is answered as it is, whoever settled it how."""
    state: WorkingState = yield Load(ids=(request.id,), settling=(request.id,))
    return (yield Commit(settle(state, request)))


def settle(state: WorkingState, request: PromiseSettle) -> Answer:
    """Settle in a working state; also the inner action of a fence."""
    promise = rules.observe(state, request.id)
    if promise is None:
        return rules.refused(responses.NOT_FOUND, f"no promise {request.id!r}")
    if promise.state == "pending":
        promise = rules.settle(state, promise, request.state, request.value)
    return Answer(responses.OK, PromiseData(promise=rules.record(promise)))
