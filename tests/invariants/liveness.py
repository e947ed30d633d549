"""Invariants 108 to 112: what must have happened when enough time has passed without faults."""

from collections.abc import Iterator

from resonate_broker import rules
from resonate_store.state import Promise
from tests.invariants.stored import Stored


def unfinished(stored: Stored, now_ms: int) -> Iterator[str]:
    """What is still due or owed after enough rounds of all internal steps (112)."""
    for schedule in stored.schedules.values():
        if schedule.next_run_at_ms <= now_ms:
            yield f"112: the schedule {schedule.id} is behind: {schedule.next_run_at_ms}"
    for promise in stored.promises.values():
        if promise.state == "pending":
            yield from _due(promise, now_ms)
        else:
            for awaiter in stored.awaiters(promise.id):
                yield f"110: {promise.id} is settled and owes {awaiter} a wake"
            for address in stored.addresses(promise.id):
                yield f"111: {promise.id} is settled and owes {address} the news"


def _due(promise: Promise, now_ms: int) -> Iterator[str]:
    if rules.is_external(promise) and promise.timeout_at_ms <= now_ms:
        yield f"108: {promise.id} is pending past its deadline"
        return
    task = promise.task
    if task is None or promise.timeout_at_ms <= now_ms:
        return
    if task.expires_at_ms is not None and task.expires_at_ms <= now_ms:
        yield f"112: {promise.id} is acquired past its lease"
    if task.state == "pending" and task.hint_at_ms is None and task.queued_at_ms is None:
        if task.retry_at_ms is None or task.retry_at_ms <= now_ms:
            yield f"112: {promise.id} is pending, without a hint and without a place in a queue"


def unsettled(stored: Stored) -> Iterator[str]:
    """Promises and tasks that live on after their last deadline, seen and unseen (108, 109)."""
    for promise in stored.promises.values():
        if promise.state == "pending":
            yield f"108: {promise.id} is still pending"
        if promise.task is not None and promise.task.state != "fulfilled":
            yield f"109: the task of {promise.id} is still {promise.task.state}"
