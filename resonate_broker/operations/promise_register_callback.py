"""`promise.register_callback`: wake a task when a promise settles."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import PromiseRegisterCallback
from resonate_sdk.protocol.responses import Answer, PromiseData


def promise_register_callback(request: PromiseRegisterCallback) -> Operation:
    """Register while both are pending; on a settled promise nothing is recorded."""
    state: WorkingState = yield Load(ids=(request.awaited, request.awaiter))
    return (yield Commit(_register(state, request)))


def _register(state: WorkingState, request: PromiseRegisterCallback) -> Answer:
    awaited = rules.observe(state, request.awaited)
    awaiter = rules.observe(state, request.awaiter)
    if awaited is None:
        return rules.refused(responses.NOT_FOUND, f"no promise {request.awaited!r}")
    if awaiter is None:
        return rules.refused(responses.UNPROCESSABLE, f"no awaiter {request.awaiter!r}")
    if awaiter.task is None:
        return rules.refused(
            responses.UNPROCESSABLE, f"the awaiter {request.awaiter!r} has no resonate:target"
        )
    if not rules.is_external(awaited):
        return rules.refused(
            responses.UNPROCESSABLE, f"{request.awaited!r} is internal, nobody may await it"
        )
    if awaited.state == "pending" and awaiter.state == "pending":
        state.add_callback(awaited.id, awaiter.id)
    return Answer(responses.OK, PromiseData(promise=rules.record(awaited)))
