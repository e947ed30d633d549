"""`promise.get`: read one promise."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import PromiseGet
from resonate_sdk.protocol.responses import Answer, PromiseData


def promise_get(request: PromiseGet) -> Operation:
    """Answer with the promise, after the deadline rule."""
    state: WorkingState = yield Load(ids=(request.id,))
    promise = rules.observe(state, request.id)
    if promise is None:
        return (yield Commit(rules.refused(responses.NOT_FOUND, f"no promise {request.id!r}")))
    return (yield Commit(Answer(responses.OK, PromiseData(promise=rules.record(promise)))))
