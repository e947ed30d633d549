"""Rows and the orders in which they are asked for, as plain dictionaries and lists."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from resonate_sdk.protocol import tags as tag
from resonate_store.state import Promise

Index = dict[str, dict[str, None]]  # dictionaries serve as sets with an order


class SortedIds:
    """Ids in ascending order, sorted when somebody asks: most programs never do."""

    def __init__(self) -> None:
        """Know of none."""
        self._ids: list[str] = []
        self._is_sorted = True

    def add(self, id: str) -> None:
        """Know of one more, which was not there."""
        self._ids.append(id)
        self._is_sorted = False

    def remove(self, id: str) -> None:
        """Forget one that is there."""
        ids = self._sorted()
        del ids[bisect_left(ids, id)]

    def above(self, after: str) -> Iterator[str]:
        """Those above an id."""
        ids = self._sorted()
        for place in range(bisect_right(ids, after), len(ids)):
            yield ids[place]

    def _sorted(self) -> list[str]:
        if not self._is_sorted:
            self._ids.sort()
            self._is_sorted = True
        return self._ids


class Promises:
    """The rows of promises.

    Attributes:
        rows: by id, in the order in which they came.
    """

    def __init__(self) -> None:
        """Have none."""
        self.rows: dict[str, Promise] = {}
        self._ids = SortedIds()
        self._of_origin: Index = {}
        self._of_branch: Index = {}  # without the promise that the branch is called after
        self._remote_of: Index = {}  # by parent
        self._queued: Index = {}  # by group

    def insert(self, promise: Promise) -> None:
        """Add a row; what it is found by never changes, but for whether it waits for room."""
        id, tags = promise.id, promise.tags
        self.rows[id] = promise
        self._ids.add(id)
        origin, branch, parent = tags.get(tag.ORIGIN), tags.get(tag.BRANCH), tags.get(tag.PARENT)
        if origin is not None:
            self._of_origin.setdefault(origin, {})[id] = None
        if branch is not None and branch != id:
            self._of_branch.setdefault(branch, {})[id] = None
        elif branch is not None and parent is not None and parent != id:
            self._remote_of.setdefault(parent, {})[id] = None
        if promise.task is not None:
            self._queue(promise)

    def update(self, promise: Promise) -> None:
        """Replace a row, if it is there."""
        if promise.id in self.rows:
            self.rows[promise.id] = promise
            if promise.task is not None:
                self._queue(promise)

    def delete(self, id: str) -> None:
        """Remove a row that is there."""
        promise = self.rows.pop(id)
        self._ids.remove(id)
        places = (
            (self._of_origin, promise.origin),
            (self._of_branch, promise.branch),
            (self._remote_of, promise.parent),
            (self._queued, None if promise.task is None else promise.task.group),
        )
        for index, key in places:
            if key is not None:
                discard(index, key, id)

    def above(self, after: str) -> Iterator[Promise]:
        """Rows above an id, ascending."""
        return map(self.rows.__getitem__, self._ids.above(after))

    def of_origin(self, origin: str) -> Iterator[Promise]:
        """Rows of a tree, ascending, as their tags say it."""
        return self._ascending(self._of_origin.get(origin, ()))

    def of_branch(self, branch: str, limit: int) -> Iterable[Promise]:
        """Rows of a branch, ascending, without its first."""
        return self._ascending(self._of_branch.get(branch, ()), limit)

    def remote_of(self, parent: str, limit: int) -> Iterable[Promise]:
        """Remote children of an execution, ascending."""
        return self._ascending(self._remote_of.get(parent, ()), limit)

    def queued(self, group: str) -> Iterator[Promise]:
        """Rows of a group whose tasks wait for room, in no order."""
        return map(self.rows.__getitem__, self._queued.get(group, ()))

    def queued_groups(self) -> Sequence[str]:
        """Groups that have such rows, ascending."""
        return sorted(self._queued)

    def _queue(self, promise: Promise) -> None:
        task = promise.task
        assert task is not None, promise.id
        if task.queued_at_ms is not None:
            self._queued.setdefault(task.group, {})[promise.id] = None
        elif task.group in self._queued:
            discard(self._queued, task.group, promise.id)

    def _ascending(self, ids: Iterable[str], limit: int | None = None) -> Iterator[Promise]:
        return map(self.rows.__getitem__, sorted(ids)[:limit])


class Timers:
    """Pairs of an instant and an id, in the order of the instants."""

    def __init__(self) -> None:
        """Have none."""
        self._timers: list[tuple[int, str]] = []

    def add(self, timer: tuple[int, str]) -> None:
        """Have one more, unless it is there."""
        place = bisect_left(self._timers, timer)
        if self._timers[place : place + 1] != [timer]:
            self._timers.insert(place, timer)

    def discard(self, timer: tuple[int, str]) -> None:
        """Have one less, if it is there."""
        place = bisect_left(self._timers, timer)
        if self._timers[place : place + 1] == [timer]:
            del self._timers[place]

    def until(self, at_ms: int, limit: int) -> Sequence[tuple[int, str]]:
        """The earliest of those that are due at an instant."""
        return self._timers[: min(limit, self._place_behind(at_ms))]

    def next_after(self, at_ms: int) -> int | None:
        """The earliest instant behind one."""
        behind = self._timers[(place := self._place_behind(at_ms)) : place + 1]
        return behind[0][0] if behind else None

    def all(self) -> Sequence[tuple[int, str]]:
        """All of them, ascending."""
        return self._timers

    def _place_behind(self, at_ms: int) -> int:
        return bisect_left(self._timers, (at_ms + 1, ""))


class Pairs:
    """Pairs that are asked for by their first half."""

    def __init__(self) -> None:
        """Have none."""
        self._seconds: Index = {}

    def add(self, first: str, second: str) -> None:
        """Have one more, unless it is there."""
        self._seconds.setdefault(first, {})[second] = None

    def discard(self, first: str, second: str) -> None:
        """Have one less, if it is there."""
        discard(self._seconds, first, second)

    def discard_second(self, second: str) -> None:
        """Have none with this second half."""
        for first in [first for first, seconds in self._seconds.items() if second in seconds]:
            self.discard(first, second)

    def of(self, first: str) -> Sequence[str]:
        """The second halves that belong to a first one, ascending."""
        seconds = self._seconds.get(first)
        return () if seconds is None else sorted(seconds)

    def __contains__(self, first: str) -> bool:
        """Whether there is any pair with this first half."""
        return first in self._seconds

    def all(self) -> Iterator[tuple[str, str]]:
        """All of them, ascending."""
        return ((first, second) for first in sorted(self._seconds) for second in self.of(first))


def discard(index: Index, key: str, id: str) -> None:
    """Forget an id under a key; a key without ids is forgotten as well."""
    ids = index.get(key)
    if ids is not None:
        ids.pop(id, None)
        if not ids:
            del index[key]
