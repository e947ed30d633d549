"""`task.report`: the holder of a task says why what runs in it has failed."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.records import Trouble
from resonate_sdk.protocol.requests import TaskReport
from resonate_sdk.protocol.responses import Answer, Nothing
from resonate_store.state import TaskTrouble


def task_report(request: TaskReport) -> Operation:
    """Keep it beside the task, in the place of what was told before; nothing depends on it."""
    state: WorkingState = yield Load(ids=(request.id,))
    held = rules.held(state, request.id, request.version)
    if isinstance(held, Answer):
        return (yield Commit(held))
    promise, task = held
    trouble = Trouble(
        id=request.promise,
        reason=request.reason,
        pid=task.pid or "",
        attempts=request.attempts,
        at_ms=state.now_ms,
        again_at_ms=None if request.again_ms is None else state.now_ms + request.again_ms,
    )
    state.put_trouble(
        TaskTrouble(
            task=request.id,
            origin=promise.origin or promise.id,
            version=request.version,
            trouble=trouble,
        )
    )
    return (yield Commit(Answer(responses.OK, Nothing())))
