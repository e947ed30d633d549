"""Invariants 17 to 26: what a stored task looks like."""

from collections.abc import Callable

from resonate_store.state import Task

TaskInvariant = Callable[[Task], bool]


# 17
def acquired_iff_has_pid(task: Task) -> bool:
    return (task.state == "acquired") == (task.pid is not None)


# 18
def acquired_iff_has_ttl(task: Task) -> bool:
    return (task.state == "acquired") == (task.lease_ms is not None)


# 19
def acquired_iff_has_expires_at(task: Task) -> bool:
    return (task.state == "acquired") == (task.expires_at_ms is not None)


# 20
def pending_iff_has_retry_at(task: Task) -> bool:
    return (task.state == "pending") == (task.retry_at_ms is not None)


def _is_cleared(task: Task) -> bool:
    return (task.pid, task.lease_ms, task.expires_at_ms, task.retry_at_ms) == (None,) * 4


# 21
def fulfilled_is_cleared(task: Task) -> bool:
    return task.state != "fulfilled" or (_is_cleared(task) and not task.resumes)


# 22
def suspended_is_cleared(task: Task) -> bool:
    return task.state != "suspended" or _is_cleared(task)


# 23
def halted_is_cleared(task: Task) -> bool:
    return task.state != "halted" or _is_cleared(task)


# 24
def suspended_has_no_resumes(task: Task) -> bool:
    return task.state != "suspended" or not task.resumes


# 25
def resumes_unique(task: Task) -> bool:
    return len(set(task.resumes)) == len(task.resumes)


# 26
def acquired_version_positive(task: Task) -> bool:
    return task.state != "acquired" or task.version >= 1


def well_formed_dispatch(task: Task) -> bool:
    """Ours: only a pending task waits for room or has a hint, and never both."""
    is_queued, has_hint = task.queued_at_ms is not None, task.hint_at_ms is not None
    if task.state != "pending":
        return not (is_queued or has_hint)
    return not (is_queued and has_hint)


TASK: tuple[TaskInvariant, ...] = (
    acquired_iff_has_pid,
    acquired_iff_has_ttl,
    acquired_iff_has_expires_at,
    pending_iff_has_retry_at,
    fulfilled_is_cleared,
    suspended_is_cleared,
    halted_is_cleared,
    suspended_has_no_resumes,
    resumes_unique,
    acquired_version_positive,
    well_formed_dispatch,
)
