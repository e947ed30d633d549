"""R5: a task whose lease has run out is pending again, at the same version."""

from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import limits
from resonate_store.state import Promise

HEARD_MS_MIN = 5_000
LISTENS_PER_WAIT = 10


class LeaseGuard:
    """Knows since when heartbeats have been heard without a gap.

    A holder whose heartbeats could not reach us has not lost its lease: a lease runs out only
    after we have listened for a while and heard nothing.

    Attributes:
        heard_since_ms: on the clock of the store; None while heartbeats cannot be heard.
    """

    def __init__(self, heard_since_ms: int | None = None) -> None:
        """Begin deaf, or with an instant since which all was heard."""
        self.heard_since_ms = heard_since_ms

    def hears(self, now_ms: int | None) -> None:
        """Heartbeats are heard at this instant; None while the clock of the store is not known."""
        if self.heard_since_ms is None:
            self.heard_since_ms = now_ms

    def may_expire(self, lease_ms: int, now_ms: int) -> bool:
        """Whether a lease of this length that seems to have run out really has."""
        if self.heard_since_ms is None:
            return False
        return now_ms - self.heard_since_ms >= self.wait_ms(lease_ms)

    def wait_ms(self, lease_ms: int) -> int:
        """How long to listen before a lease of this length runs out."""
        return 0 if self.heard_since_ms == 0 else max(HEARD_MS_MIN, lease_ms // 3)


def expire_lease(state: WorkingState, promise: Promise, guard: LeaseGuard) -> Promise:
    """Give the task back if its lease has run out; from the third time in a row on, later."""
    task = promise.task
    if task is None or task.state != "acquired":
        return promise
    assert task.expires_at_ms is not None, promise.id
    assert task.lease_ms is not None, promise.id
    if task.expires_at_ms > state.now_ms:
        return promise
    if not guard.may_expire(task.lease_ms, state.now_ms):
        state.hold(promise.id, state.now_ms + guard.wait_ms(task.lease_ms) // LISTENS_PER_WAIT)
        return promise
    losses = task.lease_losses + 1
    retry_at_ms = state.now_ms + _poison_delay_ms(losses)
    pending = replace(rules.to_pending(task, retry_at_ms), lease_losses=losses)
    promise = replace(promise, task=pending)
    state.put(promise)
    return promise


def _poison_delay_ms(losses: int) -> int:
    if losses <= limits.POISON_LOSSES_FREE:
        return 0
    step = min(losses - limits.POISON_LOSSES_FREE, len(limits.POISON_DELAY_MS)) - 1
    return limits.POISON_DELAY_MS[step]


def void_lease(id: str) -> Body:
    """Give a task back whose holder is known to be dead, whatever is left of its lease."""
    state: WorkingState = yield Load(ids=(id,))
    promise = rules.observe(state, id)
    if promise is not None and promise.task is not None and promise.task.state == "acquired":
        state.put(replace(promise, task=rules.to_pending(promise.task, state.now_ms)))
    yield Commit()
