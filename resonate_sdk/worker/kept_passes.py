"""Suspended passes that sleep in memory: what wakes them spares a replay.

Nothing relies on a pass being here, and whether it is what it was is a matter of versions alone:
a task that is granted at the version after that of the pass was held by nobody else meanwhile.
"""

from collections.abc import Callable

from msgspec import Struct

from resonate_sdk.worker.holder import Holder
from resonate_sdk.worker.pass_driver import PassDriver

PROMISES_EACH = 100  # so many may all passes know on average
PROMISES_FEW = 50  # a pass that knows more is told of what wakes it by a refused suspension


class KeptPass(Struct, frozen=True, kw_only=True, eq=False):
    """A pass that sleeps.

    Attributes:
        holder: has held its task, at the version at which it was suspended.
        driver: has the pass.
        promises: that it knows.
        runs_children: whether it has to hear of promises that it does not wait for.
    """

    holder: Holder
    driver: PassDriver
    promises: int
    runs_children: bool


class KeptPasses:
    """The passes of one process; when there are too many, those that have slept longest go."""

    def __init__(self, count_max: int, on_dropped: Callable[[KeptPass], None]) -> None:
        """Keep none yet.

        Args:
            count_max: how many there may be.
            on_dropped: closes one for which nobody will ask any more.
        """
        self._count_max = count_max
        self._promises_max = count_max * PROMISES_EACH
        self._on_dropped = on_dropped
        self._promises = 0
        self._kept: dict[str, KeptPass] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._kept)

    def add(self, kept: KeptPass) -> None:
        """Keep a pass for as long as there is room."""
        id = kept.holder.id
        self.drop(id)
        self._kept[id] = kept
        self._promises += kept.promises
        while len(self._kept) > self._count_max or self._promises > self._promises_max:
            self.drop(next(iter(self._kept)))

    def take(self, id: str, version: int) -> KeptPass | None:
        """The pass of a task, to go on with; None if there is none, or it is out of date.

        Args:
            id: of the task.
            version: at which this process holds it now.
        """
        kept = self._kept.get(id)
        if kept is None or kept.holder.version + 1 != version:
            self.drop(id)
            return None
        self._remove(id)
        return kept

    def knows_enough(self, id: str, version: int) -> bool:
        """Whether the pass of a task needs no preload, which costs as much as all it has done.

        It tries to sleep again instead, and is told what has settled: one more request.

        Args:
            id: of the task.
            version: at which it is pending.
        """
        kept = self._kept.get(id)
        if kept is None or kept.holder.version != version:
            return False
        return kept.promises > PROMISES_FEW and not kept.runs_children

    def drop(self, id: str) -> None:
        """Close the pass of a task, if there is one."""
        if id in self._kept:
            self._on_dropped(self._remove(id))

    def clear(self) -> None:
        """Close them all."""
        for id in tuple(self._kept):
            self.drop(id)

    def _remove(self, id: str) -> KeptPass:
        kept = self._kept.pop(id)
        self._promises -= kept.promises
        return kept
