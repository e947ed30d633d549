"""`task.release`: give an acquired task back."""

from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import TaskRelease
from resonate_sdk.protocol.responses import Answer, Nothing


def task_release(request: TaskRelease) -> Operation:
    """The task is pending again at the same version, and dispatched at once."""
    state: WorkingState = yield Load(ids=(request.id,))
    promise = rules.observe(state, request.id)
    refusal = rules.check_held(promise, request.id, request.version)
    if refusal is not None:
        return (yield Commit(refusal))
    assert promise is not None, "a held task has a promise"
    assert promise.task is not None, "a held task exists"
    state.put(replace(promise, task=rules.to_pending(promise.task, state.now_ms)))
    return (yield Commit(Answer(responses.OK, Nothing())))
