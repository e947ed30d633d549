"""One database under several servers: the locks of rows, and transactions that come to nothing.

SQLite has one owner and needs no locks, so they are simulated here, in the way of the real ones:
who begins waits for what it names and skips awaiters that somebody else holds. PostgreSQL has locks
of its own; it never comes to them, because one thread must not wait for itself.
"""

from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from resonate_broker.kernel.submissions import RemoveTree, Search, SearchSchedules, SearchTasks
from resonate_store.state import (
    Changes,
    Due,
    DueSchedules,
    Group,
    InboxEntry,
    Loaded,
    LoadSet,
    Page,
    Promise,
    Retired,
    ScheduleRows,
    Snapshot,
    Wanted,
)
from resonate_store.store import Store, Transaction
from tests.simulation.inbox import Inbox, lock

T = TypeVar("T")
SCHEDULE = "schedule "
GROUP = "group "
SNAPSHOT_EVERY = 5  # commits: what was written wrongly stays wrong for a while, mostly
IDLE_MS_MAX = 3_000  # the database ends a transaction in which nothing happens for so long


class Run(Protocol):
    """Runs a coroutine of a store to its end."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T: ...


class Held:
    """An open transaction and what it has locked."""

    def __init__(self, transaction: Transaction, ids: frozenset[str], begun_at_ms: int) -> None:
        self.transaction = transaction
        self.ids = ids
        self.begun_at_ms = begun_at_ms
        self.is_open = True


class Database:
    """What is stored, and who holds which rows of it."""

    def __init__(
        self,
        run: Run,
        now_ms: Callable[[], int],
        store_now_ms: Callable[[], int],
        approach: Callable[[Sequence[int]], None],
        inbox: Inbox,
    ) -> None:
        """Nobody holds anything.

        Args:
            run: runs the coroutines of the stores.
            now_ms: virtual time.
            store_now_ms: the clock that the database is to have.
            approach: may set it to one of these instants, before a transaction reads it.
            inbox: what applications have left.
        """
        self._run = run
        self._now_ms = now_ms
        self._store_now_ms = store_now_ms
        self._approach = approach
        self._inbox = inbox
        self._held: list[Held] = []
        self._commits = 0

    def try_begin(self, store: Store, load: LoadSet) -> tuple[Held, Loaded] | None:
        """Open a transaction, or return None when it has to wait for somebody."""
        self._end_idle()
        schedules = {f"{SCHEDULE}{id}" for id in load.schedules}  # rows of a table of their own
        groups = {f"{GROUP}{name}" for name in load.groups}
        named = {*load.ids, *schedules, *groups}
        if any(named & held.ids for held in self._held):
            return None
        transaction = self._run(store.begin(replace(load, inbox=())))
        taken = {id for held in self._held for id in held.ids}
        calls = self._inbox.free(load.inbox, taken)
        found = transaction.loaded
        promises = tuple(p for p in found.promises if p.id in named or p.id not in taken)
        # What does not exist cannot be locked: two servers may both want to create it.
        locked = {promise.id for promise in promises}
        locked |= {f"{SCHEDULE}{schedule.id}" for schedule in found.schedules}
        locked |= {f"{GROUP}{group.name}" for group in found.groups}
        locked |= {lock(row) for row in calls}
        held = Held(transaction, frozenset(locked), self._now_ms())
        self._held.append(held)
        self._approach(list(_ends(promises)))
        return held, replace(found, promises=promises, inbox=calls, now_ms=self._store_now_ms())

    def commit(self, held: Held, changes: Changes) -> None:
        """Write; the locks are let go, whatever becomes of it."""
        self._let_go(held)
        self._run(held.transaction.commit(replace(changes, inbox_taken=(), inbox_refused=())))
        self._inbox.write(changes, held.ids)

    def roll_back(self, held: Held) -> None:
        """Give a transaction up."""
        if held.is_open:
            self._let_go(held)
            self._run(held.transaction.rollback())

    def _let_go(self, held: Held) -> None:
        held.is_open = False
        self._held.remove(held)

    def _end_idle(self) -> None:
        for held in tuple(self._held):
            if self._now_ms() - held.begun_at_ms > IDLE_MS_MAX:
                self.roll_back(held)

    def snapshot_now_and_then(self, store: Store) -> Snapshot | None:
        """Read everything after every few commits; it takes long."""
        self._commits += 1
        return None if self._commits % SNAPSHOT_EVERY else self.snapshot(store)

    def snapshot(self, store: Store) -> Snapshot:
        """Read everything."""
        return self._run(store.snapshot())

    def due(self, store: Store, limit: int) -> Due:
        """What is due by our clock."""
        return self._run(store.due(limit, self._store_now_ms()))

    def due_schedules(self, store: Store, limit: int) -> DueSchedules:
        """Schedules that are due by our clock."""
        return self._run(store.due_schedules(limit, self._store_now_ms()))

    def waiting(self, limit: int) -> tuple[InboxEntry, ...]:
        """The oldest calls of applications."""
        return self._inbox.entries(limit)

    def search(
        self, store: Store, search: Search | SearchTasks | SearchSchedules
    ) -> Page | ScheduleRows:
        """Find promises by tags, tasks by state, or schedules by tags."""
        match search:
            case SearchSchedules(tags=tags, after=after, limit=limit):
                return self._run(store.search_schedules(tags, after, limit))
            case Search(tags=tags, after=after, limit=limit, states=states):
                page = self._run(store.search(tags, after, limit, states))
            case SearchTasks(state=state, after=after, limit=limit):
                page = self._run(store.search_tasks(state, after, limit))
        return replace(page, now_ms=self._store_now_ms())

    def groups(self, store: Store, name: str | None) -> tuple[Group, ...]:
        """Groups with limits."""
        return self._run(store.groups(name))

    def adopt(self, store: Store, group: str) -> bool:
        """Let a group hold what it has, unless somebody has its lock."""
        if any(f"{GROUP}{group}" in held.ids for held in self._held):
            return False
        self._run(store.adopt(group))
        return True

    def retired(self, store: Store, position: int, settled_before_ms: int) -> Retired:
        """Trees that may be old enough to go."""
        if settled_before_ms < 0:
            return Retired(trees=(), next_position=0)
        return self._run(store.retired(position, settled_before_ms))

    def remove_tree(self, store: Store, remove: RemoveTree, members: Collection[str]) -> int:
        """Remove a tree if it may go, and nobody has one of its rows."""
        if any(held.ids.intersection(members) for held in self._held):
            return 0
        return self._run(store.remove_tree(remove.tree, remove.settled_before_ms, remove.rows_max))

    def limit(self, store: Store, group: Group) -> None:
        """Limit a group that nobody uses yet."""
        transaction = self._run(store.begin(LoadSet(groups=(group.name,))))
        self._run(transaction.commit(Changes(groups_put=(group,))))

    def queued(self, store: Store, group: str, wanted: Wanted) -> tuple[str, ...]:
        """Tasks that wait for room."""
        return self._run(store.queued(group, wanted))

    def queued_groups(self, store: Store, limit: int) -> tuple[str, ...]:
        """Groups with such tasks."""
        return self._run(store.queued_groups(limit))


def _ends(promises: Iterable[Promise]) -> Iterator[int]:
    """When something of these comes to an end."""
    for promise in promises:
        if promise.state == "pending":
            yield promise.timeout_at_ms
        if promise.task is not None and promise.task.expires_at_ms is not None:
            yield promise.task.expires_at_ms
