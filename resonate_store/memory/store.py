"""Promises that live as long as the process: rows are kept as they are, nothing is encoded."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from msgspec.structs import replace

from resonate_sdk.protocol import limits, tags as tag
from resonate_sdk.protocol.records import PromiseState, TaskState
from resonate_store.memory.tables import Pairs, Promises, Timers
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
    TaskTrouble,
    Timer,
    Wanted,
    holds_place,
    may_go,
)
from resonate_store.store import (
    AWAITERS_MAX,
    PRELOAD_ROWS_MAX,
    SEARCH_BYTES_MAX,
    SEARCH_ROWS_MAX,
    ConflictError,
)

RETIRED_ROWS_MAX = 500  # looked at in one go


class MemoryStore:
    """A store that this process owns alone; nothing in it ever waits, and nothing outlives it.

    Its methods are coroutines because the interface's are; they never suspend. Rows are frozen, so
    who has read one has a copy.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """Be empty.

        Args:
            now_ms: the clock; a transaction's instant does not run backwards if the clock does.
        """
        self._clock = now_ms
        self._last_now_ms = 0
        self._empty()

    def _empty(self) -> None:
        self._promises = Promises()
        self._callbacks = Pairs()
        self._listeners = Pairs()
        self._timers = Timers()
        self._uses = Pairs()
        self._schedules: dict[str, Schedule] = {}
        self._groups: dict[str, Group] = {}
        self._troubles: dict[str, TaskTrouble] = {}

    async def begin(self, load: LoadSet) -> "MemoryTransaction":
        """Read what is named; there is nobody to lock it against.

        More callbacks are read than awaiters, so that it can be seen that some are left.
        """
        rows = self._promises.rows
        promises = {id: rows[id] for id in load.ids if id in rows}
        callbacks: list[Callback] = []
        listeners: list[Listener] = []
        for awaited in load.settling:
            if awaited not in promises:
                continue
            awaiters = self._callbacks.of(awaited)[: AWAITERS_MAX + 1 + len(load.ids)]
            callbacks += [Callback(awaited, awaiter) for awaiter in awaiters]
            listeners += [Listener(awaited, address) for address in self._listeners.of(awaited)]
        if callbacks:
            others = sorted({callback.awaiter for callback in callbacks} - promises.keys())
            others = others[:AWAITERS_MAX]
            promises |= {id: rows[id] for id in others if id in rows}
        loaded = Loaded(
            now_ms=self._now_ms(),
            promises=tuple(promises.values()),
            callbacks=tuple(callbacks),
            listeners=tuple(listeners),
            related=self._related(load) if load.preload or load.branches else (),
            schedules=tuple(self._schedules[id] for id in load.schedules if id in self._schedules),
            groups=tuple(self._groups_held(load.groups)),
            troubles=tuple(
                self._troubles[id]
                for id in load.troubles
                if id in promises and id in self._troubles
            ),
        )
        return MemoryTransaction(self, loaded)

    async def due(self, limit: int, at_ms: int | None = None) -> Due:
        """Read the timers that are due, now or at another instant."""
        now_ms = self._now_ms() if at_ms is None else at_ms
        timers = tuple(Timer(*timer) for timer in self._timers.until(now_ms, limit))
        return Due(now_ms=now_ms, timers=timers, next_at_ms=self._timers.next_after(now_ms))

    async def due_schedules(self, limit: int, at_ms: int | None = None) -> DueSchedules:
        """Read the schedules that are due, now or at another instant."""
        now_ms = self._now_ms() if at_ms is None else at_ms
        schedules = sorted(self._schedules.values(), key=lambda s: (s.next_run_at_ms, s.id))
        due = [schedule for schedule in schedules if schedule.next_run_at_ms <= now_ms]
        next_at_ms = schedules[len(due)].next_run_at_ms if len(due) < len(schedules) else None
        return DueSchedules(now_ms=now_ms, schedules=tuple(due[:limit]), next_at_ms=next_at_ms)

    async def search_schedules(
        self, tags: Mapping[str, str], after: str | None, limit: int
    ) -> ScheduleRows:
        """Find schedules by the tags of their promises, looking at a bounded number of rows."""
        found: list[Schedule] = []
        ids = sorted(id for id in self._schedules if id > (after or ""))
        for count, schedule in enumerate((self._schedules[id] for id in ids), start=1):
            if tags.items() <= schedule.promise_tags.items():
                found.append(schedule)
            if len(found) == limit or count == SEARCH_ROWS_MAX:
                return ScheduleRows(schedules=tuple(found), scanned_to=schedule.id)
        return ScheduleRows(schedules=tuple(found), scanned_to=None)

    async def inbox(self, limit: int) -> tuple[InboxEntry, ...]:
        """Nothing: no application has a transaction in the memory of this process."""
        return ()

    async def groups(self, name: str | None) -> tuple[Group, ...]:
        """Read the limits of all groups by name, without what they hold; or one, if it has any."""
        if name is not None:
            return tuple(self._groups_held((name,)))
        return tuple(replace(self._groups[name], held={}) for name in sorted(self._groups))

    async def adopt(self, group: str) -> None:
        """Let a limited group hold what its workers have had before the limits were known."""
        for found in self._groups_held((group,)):
            held = {
                promise.id: promise.task.concurrency_key or ""
                for promise in self._promises.rows.values()
                if promise.task and promise.task.group == group and holds_place(promise)
            }
            self._groups[group] = replace(found, held=held)

    async def queued(self, group: str, wanted: Wanted) -> tuple[str, ...]:
        """Name tasks of a group that wait for room: by priority, then those waiting longest."""
        first = sorted(self._promises.queued(group), key=_turn)[:SEARCH_ROWS_MAX]
        ids = (promise.id for promise in first if may_go(promise, wanted))
        return tuple(islice(ids, wanted.count_max))

    async def queued_groups(self, limit: int) -> tuple[str, ...]:
        """Name groups that have such tasks, ascending."""
        return tuple(self._promises.queued_groups()[:limit])

    async def acquired(self, after: str, limit: int) -> tuple[str, ...]:
        """Name acquired tasks with an id above `after`, ascending."""
        rows = self._promises.above(after)
        ids = (row.id for row in rows if row.task and row.task.state == "acquired")
        return tuple(islice(ids, limit))

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
            rows: Iterable[Promise] = self._promises.above(after or "")
        else:
            rows = (row for row in self._promises.of_origin(origin) if row.id > (after or ""))
        return self._page(rows, is_wanted, limit)

    async def search_tasks(self, state: TaskState | None, after: str | None, limit: int) -> Page:
        """Find promises that have a task, stored in this state, looking at a bounded number."""

        def is_wanted(promise: Promise) -> bool:
            return promise.task is not None and state in (None, promise.task.state)

        return self._page(self._promises.above(after or ""), is_wanted, limit)

    def _page(
        self, rows: Iterable[Promise], is_wanted: Callable[[Promise], bool], limit: int
    ) -> Page:
        found: list[Promise] = []
        size = 0
        for count, promise in enumerate(rows, start=1):
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
            promises=tuple(self._promises.above("")),
            callbacks=tuple(Callback(*pair) for pair in self._callbacks.all()),
            listeners=tuple(Listener(*pair) for pair in self._listeners.all()),
            timers=tuple(Timer(*timer) for timer in self._timers.all()),
            schedules=tuple(self._schedules[id] for id in sorted(self._schedules)),
        )

    async def retired(self, position: int, settled_before_ms: int) -> Retired:
        """Look at the next rows for trees of which something settled before an instant.

        Who comes to another place because rows before it have gone is seen the next time.
        """
        rows = list(islice(self._promises.rows.values(), position, position + RETIRED_ROWS_MAX))
        trees = {
            _tree(promise): None
            for promise in rows
            if promise.settled_at_ms is not None and promise.settled_at_ms <= settled_before_ms
        }
        is_end = len(rows) < RETIRED_ROWS_MAX
        return Retired(trees=tuple(trees), next_position=0 if is_end else position + len(rows))

    async def remove_tree(self, tree: str, settled_before_ms: int, rows_max: int) -> int:
        """Remove a part of a tree if all of it may go; return how many promises went."""
        members = [row for row in self._promises.of_origin(tree) if row.id != tree]
        root = self._promises.rows.get(tree)
        if root is not None and _tree(root) == tree:
            members.append(root)
        if any(self._is_needed(promise, tree, settled_before_ms) for promise in members):
            return 0
        part = members[:rows_max]  # the root comes last
        for promise in part:
            if promise.timer_at_ms is not None:
                self._timers.discard((promise.timer_at_ms, promise.id))
            self._callbacks.discard_second(promise.id)
            self._promises.delete(promise.id)
        for trouble in [t for t in self._troubles.values() if t.origin == tree]:
            del self._troubles[trouble.task]
        if len(part) == len(members):
            self._uses.discard_second(tree)
        return len(part)

    def _is_needed(self, promise: Promise, tree: str, settled_before_ms: int) -> bool:
        return (
            promise.settled_at_ms is None
            or promise.settled_at_ms > settled_before_ms
            or promise.id in self._callbacks
            or promise.id in self._listeners
            or any(origin != tree for origin in self._uses.of(promise.id))
        )

    async def reset(self) -> None:
        """Delete everything."""
        self._empty()

    async def close(self) -> None:
        """Nothing is held that anybody else could want."""

    def write(self, changes: Changes) -> None:
        """Write; the way to call it is `MemoryTransaction.commit`."""
        assert not changes.events, "there is nobody to tell in local mode"
        promises, rows = self._promises, self._promises.rows
        deleted = changes.schedules_deleted
        clash = [promise.id for promise in changes.created if promise.id in rows]
        clash += [
            schedule.id
            for schedule in changes.schedules_created
            if schedule.id in self._schedules and schedule.id not in deleted
        ]
        if clash:
            raise ConflictError(f"{clash[0]!r} exists")
        for promise in changes.created:
            promises.insert(promise)
        for promise in changes.updated:
            promises.update(promise)
        self._write_obligations(changes)
        for use in changes.uses_added:
            self._uses.add(use.id, use.origin)
        for name in changes.groups_deleted:
            self._groups.pop(name, None)
        self._groups.update((group.name, group) for group in changes.groups_put)
        self._troubles.update((row.task, row) for row in changes.troubles_put)
        for id in deleted:
            self._schedules.pop(id, None)
        for schedule in (*changes.schedules_created, *changes.schedules_updated):
            self._schedules[schedule.id] = schedule

    def _write_obligations(self, changes: Changes) -> None:
        callbacks, listeners, timers = self._callbacks, self._listeners, self._timers
        for callback in changes.callbacks_added:
            callbacks.add(callback.awaited, callback.awaiter)
        for callback in changes.callbacks_consumed:
            callbacks.discard(callback.awaited, callback.awaiter)
        for listener in changes.listeners_added:
            listeners.add(listener.awaited, listener.address)
        for listener in changes.listeners_told:
            listeners.discard(listener.awaited, listener.address)
        for timer in changes.timers_told:
            if timer.id not in listeners and timer.id not in callbacks:
                timers.discard((timer.due_at_ms, timer.id))
        for timer in changes.timers_disarmed:
            timers.discard((timer.due_at_ms, timer.id))
        for timer in changes.timers_armed:
            timers.add((timer.due_at_ms, timer.id))

    def _groups_held(self, names: Iterable[str]) -> Iterable[Group]:
        rows = self._promises.rows
        for name in names:
            group = self._groups.get(name)
            if group is not None:
                held = {
                    id: key
                    for id, key in group.held.items()
                    if id in rows and holds_place(rows[id])
                }
                yield replace(group, held=held)

    def _related(self, load: LoadSet) -> tuple[Promise, ...]:
        """Read branches, those of roots and others, and the remote children of all in them.

        A root that is absent may be created by the batch: its branch is then called like itself.
        """
        promises, related = self._promises, dict[str, Promise]()
        stored = ((root, promises.rows.get(root)) for root in load.preload)
        of_roots = (root if promise is None else promise.branch for root, promise in stored)
        for branch in (*load.branches, *of_roots):
            if branch is None:
                continue
            members = {row.id: row for row in promises.of_branch(branch, PRELOAD_ROWS_MAX)}
            related |= members
            for parent in (branch, *members):
                related |= {row.id: row for row in promises.remote_of(parent, PRELOAD_ROWS_MAX)}
        return tuple(related[id] for id in sorted(related))

    def _now_ms(self) -> int:
        self._last_now_ms = max(self._last_now_ms, self._clock())
        return self._last_now_ms


class MemoryTransaction:
    """What `begin` read; nothing is locked, since nobody else is there."""

    __slots__ = ("_store", "loaded")

    def __init__(self, store: MemoryStore, loaded: Loaded) -> None:
        self._store = store
        self.loaded = loaded

    async def commit(self, changes: Changes) -> None:
        """Write: from now on it is so."""
        if changes:
            self._store.write(changes)

    async def rollback(self) -> None:
        """Nothing is held."""


def _tree(promise: Promise) -> str:
    return promise.origin or promise.id


def _turn(promise: Promise) -> tuple[int, int, str]:
    """By what the queue of a group is ordered."""
    task = promise.task
    assert task is not None, promise.id
    assert task.queued_at_ms is not None, promise.id
    priority = limits.PRIORITY_DEFAULT if task.priority is None else task.priority
    return -priority, task.queued_at_ms, promise.id
