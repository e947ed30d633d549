"""`promise.register_listener`: tell an address when a promise settles."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import PromiseRegisterListener
from resonate_sdk.protocol.responses import Answer, PromiseData


def promise_register_listener(request: PromiseRegisterListener) -> Operation:
    """Register while it is pending; of a settled promise the answer itself is the news."""
    state: WorkingState = yield Load(ids=(request.awaited,))
    return (yield Commit(_register(state, request)))


def _register(state: WorkingState, request: PromiseRegisterListener) -> Answer:
    awaited = rules.observe(state, request.awaited)
    if awaited is None:
        return rules.refused(responses.NOT_FOUND, f"no promise {request.awaited!r}")
    if not rules.is_external(awaited):
        return rules.refused(
            responses.UNPROCESSABLE, f"{request.awaited!r} is internal, nobody may listen to it"
        )
    rules.listen(state, awaited, request.address)
    return Answer(responses.OK, PromiseData(promise=rules.record(awaited)))
