"""`task.heartbeat`: prolong the leases of one process."""

from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.records import TaskRef
from resonate_sdk.protocol.requests import TaskHeartbeat
from resonate_sdk.protocol.responses import Answer, Beaten


def task_heartbeat(request: TaskHeartbeat) -> Operation:
    """Start the leases anew; tasks that the process does not hold are listed, not refused."""
    ids = tuple(dict.fromkeys(ref.id for ref in request.tasks))
    state: WorkingState = yield Load(ids=ids)
    lost = tuple(ref for ref in request.tasks if not _beat(state, ref, request.pid))
    return (yield Commit(Answer(responses.OK, Beaten(lost=lost))))


def _beat(state: WorkingState, ref: TaskRef, pid: str) -> bool:
    held = rules.held(state, ref.id, ref.version)
    if isinstance(held, Answer):
        return False
    promise, task = held
    assert task.lease_ms is not None, "a held task has a lease"
    if task.pid != pid:
        return False
    expires_at_ms = state.now_ms + task.lease_ms
    if task.expires_at_ms != expires_at_ms:
        state.put(replace(promise, task=replace(task, expires_at_ms=expires_at_ms)))
    return True
