"""What has become of a promise and its task, in the words that operators count by.

Promises are created, or go into the state that they settle in; tasks are acquired, suspended, lost.
"""

from resonate_broker.kernel.working_state import WorkingState
from resonate_store.state import Promise, Task


def count(state: WorkingState, before: Promise | None, after: Promise) -> None:
    """Count what a coroutine has done to a promise.

    Args:
        state: of the batch.
        before: the promise as the coroutine found it; None for a newborn.
        after: as it left it.
    """
    counts = state.tally
    if before is None:
        counts["created"] += 1
        if after.state != "pending":
            counts[after.state] += 1
        if after.task is not None and after.task.version:
            counts["acquired"] += 1
        return
    if after.state != before.state:
        counts[after.state] += 1
    if before.task is not after.task:
        assert before.task is not None, "a promise keeps its task"
        assert after.task is not None, "a promise keeps its task"
        _tally_task(counts, before.task, after.task)


def _tally_task(counts: dict[str, int], before: Task, after: Task) -> None:
    if after.version > before.version:
        counts["acquired"] += 1
    if before.state == after.state:
        return
    if after.state == "suspended":
        counts["suspended"] += 1
    elif before.state == "acquired" and after.lease_losses > before.lease_losses:
        counts["lost"] += 1
