"""Invariants 50 to 52, 64 to 69 and 75 to 92: how tasks change."""

from collections.abc import Callable

from resonate_sdk.protocol import tags
from resonate_store.state import Promise, Task
from tests.invariants.stored import Step, is_call

TaskTransition = Callable[[Promise, Task, Task, Step], bool]  # promise after, task before and after

EDGES = {
    "pending": ("pending", "acquired", "halted", "fulfilled"),
    "acquired": ("pending", "acquired", "suspended", "halted", "fulfilled"),
    "suspended": ("pending", "suspended", "halted", "fulfilled"),
    "halted": ("pending", "halted", "fulfilled"),
    "fulfilled": ("fulfilled",),
}


# 50
def version_increases_only_on_acquisition(
    promise: Promise, before: Task, after: Task, step: Step
) -> bool:
    is_acquisition = before.state == "pending" and after.state == "acquired"
    return after.version == before.version + is_acquisition


# 51
def fulfilled_task(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    return before.state != "fulfilled" or after == before


# 52
def no_dead_dispatch(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    is_entry = before.state != "pending" and after.state == "pending"
    return not is_entry or step.is_live(promise)


# 64 to 67
def task_edges(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    return after.state in EDGES[before.state]


# 82
def lease_released_atomically(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    if before.state != "acquired" or after.state == "acquired":
        return True
    is_cleared = (after.pid, after.lease_ms, after.expires_at_ms) == (None, None, None)
    return is_cleared and after.version == before.version


# 83
def lease_holder_stable(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    if not before.state == after.state == "acquired":
        return True
    return (before.pid, before.lease_ms) == (after.pid, after.lease_ms)


# 84
def lease_fields_move_together(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    present = {field is None for field in (after.pid, after.lease_ms, after.expires_at_ms)}
    return len(present) == 1


# 85
def resumes_grow_or_clear(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    return set(before.resumes) <= set(after.resumes) or not after.resumes


# 86
def resumes_cleared_with_a_reason(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    is_cleared = bool(before.resumes) and not after.resumes
    return not is_cleared or after.state in ("acquired", "suspended", "fulfilled")


# 87
def acquisition_is_atomic(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    if before.state != "pending" or after.state != "acquired":
        return True
    expires_at_ms = step.now_ms + (after.lease_ms or 0)
    lease = (after.pid is not None, after.expires_at_ms, after.retry_at_ms, after.resumes)
    return lease == (True, expires_at_ms, None, ())


# 88
def lease_deadline_is_now_plus_ttl(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    if after.expires_at_ms in (None, before.expires_at_ms):
        return True
    return after.expires_at_ms == step.now_ms + (after.lease_ms or 0)


# 89: the first hint may be sent in the same step, and a poisonous task is put off (C18)
def pending_entry_arms_retry(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    if before.state == "pending" or after.state != "pending" or after.retry_at_ms is None:
        return True
    is_sent = after.hint_at_ms == step.now_ms < after.retry_at_ms
    is_put_off = after.lease_losses > before.lease_losses >= 2
    return after.retry_at_ms == step.now_ms or is_sent or is_put_off


# 90
def retry_rearm_only_when_due(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    if not before.state == after.state == "pending" or before.retry_at_ms == after.retry_at_ms:
        return True
    if is_call(promise) and after.retry_at_ms == promise.timeout_at_ms:
        return before.hint_at_ms is not None  # delivered: it is left alone until its deadline
    return before.retry_at_ms is None or before.retry_at_ms <= step.now_ms


# 91
def retry_rearm_advances(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    if not before.state == after.state == "pending" or before.retry_at_ms == after.retry_at_ms:
        return True
    return after.retry_at_ms is not None and after.retry_at_ms > step.now_ms


# 92
def wake_records_resume(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    is_wake = before.state == "suspended" and after.state == "pending"
    return not is_wake or (bool(after.resumes) and after.version == before.version)


TASK_STEPS: tuple[TaskTransition, ...] = (
    version_increases_only_on_acquisition,
    fulfilled_task,
    no_dead_dispatch,
    task_edges,
    lease_released_atomically,
    lease_holder_stable,
    lease_fields_move_together,
    resumes_grow_or_clear,
    resumes_cleared_with_a_reason,
    acquisition_is_atomic,
    lease_deadline_is_now_plus_ttl,
    pending_entry_arms_retry,
    retry_rearm_only_when_due,
    retry_rearm_advances,
    wake_records_resume,
)


# 75
def task_birth_couples_promise_birth(promise: Promise, step: Step) -> bool:
    return (tags.TARGET in promise.tags) == (promise.task is not None)


# 75 and 81
def task_birth_state(promise: Promise, step: Step) -> bool:
    task = promise.task
    if task is None:
        return True
    if task.resumes:
        return False
    match task.state:
        case "pending":
            return task.version == 0 and promise.state == "pending" and task.pid is None
        case "acquired":
            return task.version == 1 and promise.state == "pending"
        case "fulfilled":
            return task.version == 0 and promise.state != "pending"
        case "suspended" | "halted":
            return False


TASK_BIRTH = (task_birth_couples_promise_birth, task_birth_state)
