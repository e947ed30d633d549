"""`promise.create`: create a promise, and its task if it has a target."""

from msgspec import UNSET

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import PromiseCreate, create_fault
from resonate_sdk.protocol.responses import Answer, PromiseData


def promise_create(request: PromiseCreate) -> Operation:
    """Create the promise; one that exists is answered as it is, whatever the request says."""
    fault = create_fault(request, acquire=False)
    if fault is not None:
        return rules.refused(responses.MALFORMED, fault)
    state: WorkingState = yield Load(ids=(request.id,))
    return (yield Commit(create(state, request)))


def create(state: WorkingState, request: PromiseCreate) -> Answer:
    """Create in a working state; also the inner action of a fence."""
    promise = rules.observe(state, request.id)
    if promise is None:
        promise = rules.born(request, state.now_ms)
        state.put(promise)
    # The answer is that of any other creation: it shows who asks whether anybody may listen.
    if request.listener is not UNSET and rules.is_external(promise):
        rules.listen(state, promise, request.listener)
    return Answer(responses.OK, PromiseData(promise=rules.record(promise)))
