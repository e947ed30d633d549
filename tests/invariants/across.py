"""Invariants 11, 12, 31 to 45: what objects have to do with each other, and our timers.

The outbox of the specification (40 to 44) are the messages that a step sends: see `messages`.
"""

from resonate_broker import rules
from resonate_broker.background.lease_expiry import LISTENS_PER_WAIT, LeaseGuard
from resonate_sdk.protocol import addresses, tags
from resonate_store.state import Promise, Snapshot, Task, Timer
from tests.invariants.promises import PromiseInvariant
from tests.invariants.stored import Stored

PROBE_MS_MAX = 50  # a look that has to wait for a count of the queue is put off for so long


# 35
def task_iff_targeted_promise(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return (promise.task is not None) == (tags.TARGET in promise.tags)


# 36
def settled_promise_has_fulfilled_task(promise: Promise, stored: Stored, now_ms: int) -> bool:
    task = promise.task
    return task is None or promise.state == "pending" or task.state == "fulfilled"


# 37
def settled_task_promise_settled(promise: Promise, stored: Stored, now_ms: int) -> bool:
    task = promise.task
    return task is None or task.state != "fulfilled" or promise.state != "pending"


# 38
def callback_awaiter_is_targeted(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return all(stored.task(awaiter) is not None for awaiter in stored.awaiters(promise.id))


# 39
def listener_addresses_deliverable(promise: Promise, stored: Stored, now_ms: int) -> bool:
    return all(str(addresses.parse_listener(text)) == text for text in stored.addresses(promise.id))


# 45
def suspended_task_holds_rung(promise: Promise, stored: Stored, now_ms: int) -> bool:
    task = promise.task
    if task is None or task.state != "suspended" or promise.timeout_at_ms <= now_ms:
        return True
    return stored.is_awaiting(promise.id)


def consistent_timer(promise: Promise, stored: Stored, now_ms: int) -> bool:
    """Ours: whatever becomes due, and whatever is still owed, has a timer that is not too late."""
    wanted = _wanted(promise, stored, now_ms)
    if wanted is None:
        return True
    timer_at_ms = promise.timer_at_ms
    if timer_at_ms is None or timer_at_ms > wanted:
        return False
    return Timer(timer_at_ms, promise.id) in stored.timers


def _wanted(promise: Promise, stored: Stored, now_ms: int) -> int | None:
    if promise.state != "pending":
        if stored.awaiters(promise.id):
            return now_ms + rules.DRAIN_RETRY_MS
        if stored.addresses(promise.id):
            return now_ms + rules.notify_retry_ms(promise, now_ms)
        return None
    wanted = [promise.timeout_at_ms] if rules.is_external(promise) else []
    match promise.task:
        case Task(state="acquired", expires_at_ms=int(at_ms), lease_ms=int(lease_ms)):
            wanted.append(max(at_ms, now_ms + LeaseGuard().wait_ms(lease_ms) // LISTENS_PER_WAIT))
        case Task(state="pending", queued_at_ms=None, retry_at_ms=int(at_ms)):
            wanted.append(max(at_ms, now_ms + PROBE_MS_MAX))
        case _:
            pass
    return min(wanted, default=None)


ACROSS: tuple[PromiseInvariant, ...] = (
    task_iff_targeted_promise,
    settled_promise_has_fulfilled_task,
    settled_task_promise_settled,
    callback_awaiter_is_targeted,
    listener_addresses_deliverable,
    suspended_task_holds_rung,
    consistent_timer,
)


# 11
def callbacks_unique(snapshot: Snapshot) -> bool:
    return len(set(snapshot.callbacks)) == len(snapshot.callbacks)


# 12
def listeners_unique(snapshot: Snapshot) -> bool:
    return len(set(snapshot.listeners)) == len(snapshot.listeners)


# 31 to 33
def rows_unique(snapshot: Snapshot) -> bool:
    ids = [promise.id for promise in snapshot.promises]
    schedules = [schedule.id for schedule in snapshot.schedules]
    return all(len(set(rows)) == len(rows) for rows in (ids, schedules, snapshot.timers))


UNIQUE = (callbacks_unique, listeners_unique, rows_unique)


def named_timers(stored: Stored) -> list[Timer]:
    """Ours: timers that are left behind. With one server alone there are none."""
    left: list[Timer] = []
    for timer in stored.timers:
        promise = stored.promises.get(timer.id)
        if promise is None or promise.timer_at_ms != timer.due_at_ms:
            left.append(timer)
    return left
