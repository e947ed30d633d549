"""`task.get`: read one task."""

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import TaskGet
from resonate_sdk.protocol.responses import Answer, TaskData


def task_get(request: TaskGet) -> Operation:
    """Answer with the task as its promise lets it be seen."""
    ids = (request.id,)
    state: WorkingState = yield Load(ids=ids, troubles=ids if request.details else ())
    promise = rules.observe(state, request.id)
    if promise is None or promise.task is None:
        return (yield Commit(rules.refused(responses.NOT_FOUND, f"no task {request.id!r}")))
    record = rules.task_record(promise, details=request.details, trouble=state.trouble(request.id))
    return (yield Commit(Answer(responses.OK, TaskData(task=record))))
