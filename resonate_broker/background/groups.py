"""Which worker groups have limits: read every second, since another server may have set some."""

from collections.abc import Callable, Iterable

from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Adopt, Commit, Failed, Load, ReadGroups, Spawn
from resonate_store.state import Group


class Limited:
    """The groups with limits, as far as this server knows.

    Until it has read them every group is taken for one: then the limits are looked at under the
    lock of the group, where it turns out that there are none.
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        """Know the groups, or nothing yet."""
        self._names = None if names is None else frozenset(names)
        self._ready = frozenset[str]()

    def has(self, group: str) -> bool:
        """Whether the group has limits, or may have some."""
        return self._names is None or group in self._names

    @property
    def names(self) -> frozenset[str]:
        """The groups that are known to have limits."""
        return self._names or frozenset()

    def know(self, names: Iterable[str]) -> None:
        """These groups have limits, and no others."""
        self._names = frozenset(names)
        self._ready &= self._names

    def is_ready(self, group: str) -> bool:
        """Whether what the group had before its limits were known counts, so that places can be given."""
        return group in self._ready

    def make_ready(self, group: str) -> None:
        """What the group had before counts."""
        self._ready |= {group}


class GroupWatch:
    """Keeps knowing them. One run at a time."""

    def __init__(self, limited: Limited, on_ready: Callable[[], None]) -> None:
        """Begin to watch.

        Args:
            limited: is told what is found.
            on_ready: called when tasks that have waited for that may go.
        """
        self._limited = limited
        self._on_ready = on_ready
        self._has_read = False

    def run(self) -> Body:
        """Read them; what a group has had before it had limits counts from now on."""
        groups: tuple[Group, ...] | Failed = yield ReadGroups()
        if isinstance(groups, Failed):
            return
        self._limited.know(group.name for group in groups)
        has_more, self._has_read = not self._has_read, True
        for name in sorted(self._limited.names):
            if self._limited.is_ready(name):
                continue
            # What was decided before they were known is durable after another batch, or never.
            yield Spawn((_pass_a_batch,))
            failed: Failed | None = yield Adopt(name)
            if failed is None:
                self._limited.make_ready(name)
                has_more = True
        if has_more:
            self._on_ready()


def _pass_a_batch() -> Body:
    yield Load()
    yield Commit()
