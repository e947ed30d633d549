"""Carries out an invocation that somebody has published: promise and listener in one step."""

from resonate_broker import rules
from resonate_broker.integration.invocation import Invoke
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_broker.operations.promise_create import create
from resonate_sdk.protocol import responses, tags
from resonate_sdk.protocol.requests import PromiseCreate
from resonate_sdk.protocol.responses import Answer
from resonate_store.state import Promise


def invoke(request: Invoke) -> Operation:
    """Start the execution, unless it exists; its listener gets the result, unless it is there.

    Whoever publishes the same again is another listener. An id that means another call is refused,
    so that two services do not get each other's results.
    """
    state: WorkingState = yield Load(ids=(request.id,))
    return (yield Commit(_invoke(state, request)))


def _invoke(state: WorkingState, request: Invoke) -> Answer:
    existing = rules.observe(state, request.id)
    if existing is not None and (reason := _difference(existing, request)) is not None:
        return rules.refused(responses.CONFLICT, reason)
    creation = PromiseCreate(
        id=request.id,
        timeout_at_ms=request.ends_at_ms(state.now_ms),
        param=request.call,
        tags=request.tags(state.now_ms),
    )
    answer = create(state, creation)
    promise = state.promise(request.id)
    assert promise is not None, "it was created or existed"
    if request.reply_to is not None:
        rules.listen(state, promise, str(request.reply_to))
    return answer


def _difference(existing: Promise, request: Invoke) -> str | None:
    """Say what is different about a promise of the same id, or None if it is this call."""
    target = existing.tags.get(tags.TARGET)
    if target is None:
        return f"{request.id!r} exists and is no invocation: publish with another message_id"
    if target != request.target:
        return (
            f"{request.id!r} exists with the target {target!r}, not {request.target!r}: publish "
            "with another message_id"
        )
    func = _name(existing.tags.get(tags.FUNCTION, ""))
    if func and func != _name(tags.function(request.func, request.version)):
        return (
            f"{request.id!r} exists and calls {func!r}, not {request.func!r}: publish with "
            "another message_id"
        )
    return None


def _name(function: str) -> str:
    return function.rpartition("@")[0]
