"""Promises in a SQLite file that belongs to one process, or in memory."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import PromiseState, TaskState
from resonate_store.queries import load_queries
from resonate_store.sqlite.connection import Translated, open_file
from resonate_store.sqlite.rows import (
    decode_group,
    decode_promise,
    decode_schedule,
    decode_trouble,
    group_row,
    insert_row,
    pair,
    schedule_row,
    single,
    to_promise,
    trouble_row,
    update_row,
)
from resonate_store.state import (
    Callback,
    Changes,
    Due,
    DueSchedules,
    Group,
    InboxEntry,
    Listener,
    Loaded,
    LoadSet,
    Page,
    Promise,
    Retired,
    Schedule,
    ScheduleRows,
    Snapshot,
    Timer,
    Wanted,
    holds_place,
    may_go,
)
from resonate_store.store import AWAITERS_MAX, PRELOAD_ROWS_MAX, SEARCH_BYTES_MAX, SEARCH_ROWS_MAX

RETIRED_ROWS_MAX = 500  # looked at in one go

Row = TypeVar("Row")

_QUERIES = load_queries("resonate_store.sqlite")


class SqliteStore:
    """A store that this process owns alone; nothing in it ever waits.

    Its methods are coroutines because the interface's are; they never suspend.
    """

    def __init__(self, path: Path | str, now_ms: Callable[[], int]) -> None:
        """Open the file, or `:memory:`, and make its tables.

        Args:
            path: the file; made if it does not exist.
            now_ms: the clock; a transaction's instant does not run backwards if the clock does.

        Raises:
            UnavailableError: somebody holds the file, or it cannot be opened.
            SchemaError: it is no database of ours, one of another release, or damaged.
        """
        self.path = str(path)
        self._clock = now_ms
        self._last_now_ms = 0
        self._translated = Translated(self.path)
        with self._translated:
            self._connection = open_file(self.path)

    async def begin(self, load: LoadSet) -> "SqliteTransaction":
        """Read what is named; there is nobody to lock it against.

        More callbacks are read than awaiters, so that it can be seen that some are left.
        """
        callbacks_max = AWAITERS_MAX + 1 + len(load.ids)
        promises = {promise.id: promise for promise in self._promises(load.ids)}
        callbacks: list[Callback] = []
        listeners: list[Listener] = []
        for awaited in load.settling:
            if awaited not in promises:
                continue  # nobody waits for what does not exist: most steps are made and ended at once
            awaiters = self._rows("awaiters", awaited, callbacks_max)
            callbacks += [Callback(awaited, awaiter) for (awaiter,) in awaiters]
            addresses = self._rows("listeners", awaited)
            listeners += [Listener(awaited, address) for (address,) in addresses]
        awaiters = sorted({callback.awaiter for callback in callbacks} - promises.keys())
        awaiters = awaiters[:AWAITERS_MAX]
        promises |= {promise.id: promise for promise in self._promises(awaiters)}
        loaded = Loaded(
            now_ms=self._now_ms(),
            promises=tuple(promises.values()),
            callbacks=tuple(callbacks),
            listeners=tuple(listeners),
            related=self._related(load),
            schedules=tuple(self._schedules(load.schedules)),
            groups=tuple(self._groups(load.groups)),
            troubles=tuple(
                decode_trouble(record)
                for id in load.troubles
                if id in promises
                for (record,) in self._rows("trouble", id)
            ),
        )
        return SqliteTransaction(self, loaded)

    async def due(self, limit: int, at_ms: int | None = None) -> Due:
        """Read the timers that are due, now or at another instant."""
        now_ms = self._now_ms() if at_ms is None else at_ms
        due = tuple(Timer(*row) for row in self._rows("due_timers", now_ms, limit))
        ((next_at_ms,),) = self._rows("next_timer", now_ms)
        return Due(now_ms=now_ms, timers=due, next_at_ms=next_at_ms)

    async def due_schedules(self, limit: int, at_ms: int | None = None) -> DueSchedules:
        """Read the schedules that are due, now or at another instant."""
        now_ms = self._now_ms() if at_ms is None else at_ms
        rows = self._rows("due_schedules", now_ms, limit)
        due = tuple(decode_schedule(record) for (record,) in rows)
        ((next_at_ms,),) = self._rows("next_schedule", now_ms)
        return DueSchedules(now_ms=now_ms, schedules=due, next_at_ms=next_at_ms)

    async def search_schedules(
        self, tags: Mapping[str, str], after: str | None, limit: int
    ) -> ScheduleRows:
        """Find schedules by the tags of their promises, looking at a bounded number of rows."""
        found: list[Schedule] = []
        rows = self._rows("search_schedules", after or "", SEARCH_ROWS_MAX)
        for count, (record,) in enumerate(rows, start=1):
            schedule = decode_schedule(record)
            if tags.items() <= schedule.promise_tags.items():
                found.append(schedule)
            if len(found) == limit or count == SEARCH_ROWS_MAX:
                return ScheduleRows(schedules=tuple(found), scanned_to=schedule.id)
        return ScheduleRows(schedules=tuple(found), scanned_to=None)

    async def inbox(self, limit: int) -> tuple[InboxEntry, ...]:
        """Nothing: no application has a transaction in a file that belongs to this process."""
        return ()

    async def groups(self, name: str | None) -> tuple[Group, ...]:
        """Read the limits of all groups by name, without what they hold; or one, if it has any."""
        if name is not None:
            return tuple(self._groups((name,)))
        groups = (decode_group(record) for (record,) in self._rows("all_groups"))
        return tuple(msgspec.structs.replace(group, held={}) for group in groups)

    async def adopt(self, group: str) -> None:
        """Let a limited group hold what its workers have had before the limits were known."""
        for found in self._groups((group,)):
            members = map(to_promise, self._rows("of_group", group))
            held = {
                p.id: p.task.concurrency_key or "" for p in members if holds_place(p) and p.task
            }
            self.write(Changes(groups_put=(msgspec.structs.replace(found, held=held),)))

    async def queued(self, group: str, wanted: Wanted) -> tuple[str, ...]:
        """Name tasks of a group that wait for room: by priority, then those waiting longest."""
        rows = map(to_promise, self._rows("queued", group, SEARCH_ROWS_MAX))
        ids = (promise.id for promise in rows if may_go(promise, wanted))
        return tuple(islice(ids, wanted.count_max))

    async def queued_groups(self, limit: int) -> tuple[str, ...]:
        """Name groups that have such tasks, ascending."""
        return tuple(group for (group,) in self._rows("queued_groups", limit))

    async def acquired(self, after: str, limit: int) -> tuple[str, ...]:
        """Name acquired tasks with an id above `after`, ascending."""
        return tuple(id for (id,) in self._rows("acquired", after, limit))

    async def search(
        self,
        tags: Mapping[str, str],
        after: str | None,
        limit: int,
        states: tuple[PromiseState, ...] = (),
    ) -> Page:
        """Find promises by tags above an id, looking at a bounded number of rows."""

        def is_wanted(promise: Promise) -> bool:
            is_state = not states or promise.state in states
            return is_state and tags.items() <= promise.tags.items()

        origin = tags.get(tag.ORIGIN)
        if origin is None:
            rows = self._rows("search_all", after or "", SEARCH_ROWS_MAX)
        else:
            rows = self._rows("search_origin", origin, after or "", SEARCH_ROWS_MAX)
        return self._page(rows, is_wanted, limit)

    async def search_tasks(self, state: TaskState | None, after: str | None, limit: int) -> Page:
        """Find promises that have a task, stored in this state, looking at a bounded number."""

        def is_wanted(promise: Promise) -> bool:
            return promise.task is not None and state in (None, promise.task.state)

        rows = self._rows("search_all", after or "", SEARCH_ROWS_MAX)
        return self._page(rows, is_wanted, limit)

    def _page(self, rows: Iterable[Any], is_wanted: Callable[[Promise], bool], limit: int) -> Page:
        found: list[Promise] = []
        size = 0
        for count, (record,) in enumerate(rows, start=1):
            promise = decode_promise(record)
            if is_wanted(promise):
                found.append(promise)
                size += promise.size_bytes()
            is_full = len(found) == limit or size > SEARCH_BYTES_MAX
            if is_full or count == SEARCH_ROWS_MAX:
                return Page(now_ms=self._now_ms(), promises=tuple(found), scanned_to=promise.id)
        return Page(now_ms=self._now_ms(), promises=tuple(found), scanned_to=None)

    async def snapshot(self) -> Snapshot:
        """Read everything."""
        return Snapshot(
            promises=tuple(
                decode_promise(record) for (record,) in self._rows("search_all", "", -1)
            ),
            callbacks=tuple(Callback(*row) for row in self._rows("all_callbacks")),
            listeners=tuple(Listener(*row) for row in self._rows("all_listeners")),
            timers=tuple(Timer(*row) for row in self._rows("all_timers")),
            schedules=tuple(
                decode_schedule(record) for (record,) in self._rows("search_schedules", "", -1)
            ),
        )

    async def retired(self, position: int, settled_before_ms: int) -> Retired:
        """Look at the next rows for trees of which something settled before an instant."""
        trees: dict[str, None] = {}
        count = 0
        for rowid, record in self._rows("walk", position, RETIRED_ROWS_MAX):
            promise, position, count = decode_promise(record), rowid, count + 1
            if promise.settled_at_ms is not None and promise.settled_at_ms <= settled_before_ms:
                trees[promise.origin or promise.id] = None
        is_end = count < RETIRED_ROWS_MAX
        return Retired(trees=tuple(trees), next_position=0 if is_end else position)

    async def remove_tree(self, tree: str, settled_before_ms: int, rows_max: int) -> int:
        """Remove a part of a tree if all of it may go; return how many promises went."""
        members = [
            promise
            for promise in map(to_promise, self._rows("tree_members", tree, -1))
            if (promise.origin or promise.id) == tree
        ]
        if any(self._is_needed(promise, tree, settled_before_ms) for promise in members):
            return 0
        part = members[:rows_max]  # the root comes last
        with self._translated:
            self._connection.execute("begin immediate")
            try:
                for promise in part:
                    timer = (promise.timer_at_ms, promise.id)
                    self._connection.execute(_QUERIES["delete_timer"], timer)
                    self._connection.execute(_QUERIES["delete_callbacks_of"], (promise.id,))
                    self._connection.execute(_QUERIES["delete_promise"], (promise.id,))
                self._connection.execute(_QUERIES["delete_troubles_of"], (tree,))
                if len(part) == len(members):
                    self._connection.execute(_QUERIES["delete_uses_of"], (tree,))
                self._connection.execute("commit")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
        return len(part)

    def _is_needed(self, promise: Promise, tree: str, settled_before_ms: int) -> bool:
        return (
            promise.settled_at_ms is None
            or promise.settled_at_ms > settled_before_ms
            or any(True for _ in self._rows("awaiters", promise.id, 1))
            or any(True for _ in self._rows("listeners", promise.id))
            or any(True for _ in self._rows("has_use", promise.id, tree))
        )

    async def reset(self) -> None:
        """Delete everything."""
        with self._translated:
            self._connection.executescript(_QUERIES["reset"])

    async def close(self) -> None:
        """Let the file go."""
        with self._translated:
            self._connection.close()

    def write(self, changes: Changes) -> None:
        """Write in one transaction; the way to call it is `SqliteTransaction.commit`."""
        if not changes:
            return
        with self._translated:
            self._connection.execute("begin immediate")
            try:
                self._write(changes)
                self._connection.execute("commit")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")

    def _write(self, changes: Changes) -> None:
        assert not changes.events, "there is nobody to tell in local mode"
        self._write_each("insert_promise", insert_row, changes.created)
        self._write_each("update_promise", update_row, changes.updated)
        self._write_each("insert_callback", pair, changes.callbacks_added)
        self._write_each("delete_callback", pair, changes.callbacks_consumed)
        self._write_each("insert_listener", pair, changes.listeners_added)
        self._write_each("delete_listener", pair, changes.listeners_told)
        self._write_each("delete_timer_unless_owed", pair, changes.timers_told)
        self._write_each("delete_timer", pair, changes.timers_disarmed)
        self._write_each("insert_timer", pair, changes.timers_armed)
        self._write_each("insert_use", pair, changes.uses_added)
        self._write_each("delete_group", single, changes.groups_deleted)
        self._write_each("put_group", group_row, changes.groups_put)
        self._write_each("put_trouble", trouble_row, changes.troubles_put)
        self._write_each("delete_schedule", single, changes.schedules_deleted)
        self._write_each("insert_schedule", schedule_row, changes.schedules_created)
        self._write_each("update_schedule", schedule_row, changes.schedules_updated)

    def _write_each(
        self, query: str, to_row: Callable[[Row], tuple[Any, ...]], rows: Sequence[Row]
    ) -> None:
        if rows:
            self._connection.executemany(_QUERIES[query], map(to_row, rows))

    def _rows(self, query: str, *parameters: str | int) -> Generator[Any]:
        with self._translated:
            yield from self._connection.execute(_QUERIES[query], parameters)

    def _promises(self, ids: Iterable[str]) -> Iterable[Promise]:
        for id in ids:
            for (record,) in self._rows("promise", id):
                yield decode_promise(record)

    def _schedules(self, ids: Iterable[str]) -> Iterable[Schedule]:
        for id in ids:
            for (record,) in self._rows("schedule", id):
                yield decode_schedule(record)

    def _groups(self, names: Iterable[str]) -> Iterable[Group]:
        for name in names:
            for (record,) in self._rows("group", name):
                group = decode_group(record)
                holders = {p.id for p in self._promises(group.held) if holds_place(p)}
                held = {id: key for id, key in group.held.items() if id in holders}
                yield msgspec.structs.replace(group, held=held)

    def _related(self, load: LoadSet) -> tuple[Promise, ...]:
        """Read branches, those of roots and others, and the remote children of all in them.

        A root that is absent may be created by the batch: its branch is then called like itself.
        """
        stored = {root.id: root.branch for root in self._promises(load.preload)}
        related: dict[str, Promise] = {}
        for branch in (*load.branches, *(stored.get(root, root) for root in load.preload)):
            if branch is None:
                continue
            rows = self._rows("branch_members", branch, PRELOAD_ROWS_MAX)
            members = [decode_promise(record) for (record,) in rows]
            related |= {member.id: member for member in members}
            for parent in {branch, *(member.id for member in members)}:
                children = self._rows("remote_children", parent, PRELOAD_ROWS_MAX)
                for (record,) in children:
                    child = decode_promise(record)
                    related[child.id] = child
        return tuple(sorted(related.values(), key=lambda promise: promise.id))

    def _now_ms(self) -> int:
        self._last_now_ms = max(self._last_now_ms, self._clock())
        return self._last_now_ms


class SqliteTransaction:
    """What `begin` read; nothing is locked, since nobody else is there."""

    def __init__(self, store: SqliteStore, loaded: Loaded) -> None:
        self._store = store
        self.loaded = loaded

    async def commit(self, changes: Changes) -> None:
        """Write and make durable."""
        self._store.write(changes)

    async def rollback(self) -> None:
        """Nothing is held."""
