"""Ours: limits of worker groups. Nobody gets a place that is not there, nor starts too early.

They hold where everybody has known the limits of a group all the time.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from resonate_sdk.protocol.records import Rate
from resonate_store.state import Group, Promise, holds_place
from tests.invariants.stored import Step

BURST_MS = 1_000  # starts that were not used for so long may be made up for


class Start(Struct, frozen=True):
    """The first that anybody hears of an execution."""

    group: str
    at_ms: int


def gained(step: Step) -> list[Promise]:
    """The promises whose execution has a place since this step."""
    known = [after for before, after in step.changed if not holds_place(before)]
    return [promise for promise in (*known, *step.born) if holds_place(promise)]


def place_faults(step: Step) -> Iterator[str]:
    """Places that were given although all were taken."""
    for promise in gained(step) if step.after.groups else ():
        assert promise.task is not None, "only tasks have places"
        group = step.after.groups.get(promise.task.group)
        if group is None:
            continue
        held = [
            other.task.concurrency_key
            for other in step.after.promises.values()
            if other.task is not None and other.task.group == group.name and holds_place(other)
        ]
        if group.concurrency is not None and len(held) > group.concurrency:
            yield f"places of {group.name!r}: {promise} is one too many of {len(held)}: {group}"
        key = promise.task.concurrency_key
        limit = group.key_concurrency
        if key is not None and limit is not None and held.count(key) > limit:
            yield f"places of the key {key!r}: {promise} is one too many: {group}"


def starts(step: Step) -> list[Start]:
    """Executions that somebody has heard of for the first time."""
    if not step.after.groups:
        return []
    heard_of = {
        before.id
        for before, _ in step.changed
        if before.task is not None and (before.task.version > 0 or before.task.attempts > 0)
    }
    return [
        Start(promise.task.group, step.now_ms)
        for promise in gained(step)
        if promise.task is not None and promise.id not in heard_of
    ]


class Pace:
    """Remembers when executions have started, and says if it was too many in too little time."""

    def __init__(self) -> None:
        self._rates: dict[str, Rate | None] = {}
        self._started: dict[str, list[int]] = {}

    def check(self, new: Sequence[Start], groups: Mapping[str, Group]) -> None:
        """Raise if these starts, which are durable now, came too early."""
        for name, group in groups.items():
            if self._rates.get(name) == group.rate:
                continue
            self._rates[name] = group.rate  # what has started before does not count
            self._started[name] = []
            new = [start for start in new if start.group != name]
        for start in new:
            rate = self._rates.get(start.group)
            if rate is None:
                continue
            at_ms = self._started[start.group]
            at_ms.append(start.at_ms)
            lately = [at for at in at_ms if start.at_ms - rate.per_ms < at <= start.at_ms]
            burst = max(1, rate.count * BURST_MS // rate.per_ms)
            assert len(lately) <= rate.count + burst, f"starts of {start.group!r}: {lately}, {rate}"
