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
    held = rules.held(state, request.id, request.version)
    if isinstance(held, Answer):
        return (yield Commit(held))
    promise, task = held
    state.put(replace(promise, task=rules.to_pending(task, state.now_ms)))
    return (yield Commit(Answer(responses.OK, Nothing())))
