"""`task.halt`: take a task from its holder, and dispatch it no more."""

from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import TaskHalt
from resonate_sdk.protocol.responses import Answer, Nothing


def task_halt(request: TaskHalt) -> Operation:
    """The task stays as it is until it is continued, or its promise settles; a holder loses it."""
    state: WorkingState = yield Load(ids=(request.id,))
    return (yield Commit(_halt(state, request.id)))


def _halt(state: WorkingState, id: str) -> Answer:
    promise = rules.observe(state, id)
    if promise is None or promise.task is None:
        return rules.refused(responses.NOT_FOUND, f"no task {id!r}")
    match promise.task.state:
        case "fulfilled":
            return rules.refused(responses.CONFLICT, f"task {id!r} is fulfilled")
        case "pending" | "acquired" | "suspended":
            state.put(replace(promise, task=rules.halted(promise.task)))
        case "halted":
            pass
    return Answer(responses.OK, Nothing())
