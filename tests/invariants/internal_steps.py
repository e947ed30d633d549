"""Invariant 96: what steps may do that nobody asked for."""

from collections.abc import Collection, Iterator

from resonate_sdk.protocol import tags
from tests.invariants.stored import Step, is_call

EDGES = {
    "pending": ("pending", "fulfilled"),
    "acquired": ("acquired", "pending", "fulfilled"),
    "suspended": ("suspended", "pending", "fulfilled"),
    "halted": ("halted", "fulfilled"),
    "fulfilled": ("fulfilled",),
}


def internal_faults(step: Step, created: Collection[str] = ()) -> Iterator[str]:
    """A sweeper never acquires, suspends, halts, continues, or invents a verdict.

    Args:
        step: what it did.
        created: ids that somebody has asked for all the same.
    """
    for before, after in step.changed:
        if before.task is not None and after.task is not None:
            if after.task.state not in EDGES[before.task.state]:
                yield f"{after.id} from {before.task.state} to {after.task.state}"
        is_refused = is_call(after) and after.state == "rejected"
        if before.state != after.state and after.settled_at_ms != after.timeout_at_ms:
            if is_refused and after.settled_at_ms == step.now_ms:
                continue  # it can never be called
            yield f"{after.id} settled by nobody"
    yield from (
        f"{promise.id} created by nobody"
        for promise in step.born
        if tags.SCHEDULE not in promise.tags and promise.id not in created
    )
