"""Promises in PostgreSQL, shared by any number of servers."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Self

from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import PromiseState, TaskState
from resonate_store.postgres import groups, inbox, notices, schedules, settings, troubles
from resonate_store.postgres.connection import Pool, Row, connect
from resonate_store.postgres.data_path import DataPath
from resonate_store.postgres.events import PostgresEvents
from resonate_store.postgres.migrate import check
from resonate_store.postgres.rows import to_json, to_promise
from resonate_store.postgres.transaction import PostgresTransaction
from resonate_store.postgres.triggers import PostgresTriggers
from resonate_store.queries import load_queries
from resonate_store.state import (
    Backlog,
    Callback,
    Due,
    DueSchedules,
    Group,
    InboxEntry,
    Listener,
    LoadSet,
    Page,
    Retired,
    ScheduleRows,
    Snapshot,
    Timer,
    Wanted,
)
from resonate_store.store import SEARCH_BYTES_MAX, SEARCH_ROWS_MAX

READERS_MAX = 3  # searches and sweeps at a time
RETIRED_PAGES_MAX = 64  # of the table, looked at in one go

_QUERIES = load_queries("resonate_store.postgres")
_BACKLOG = load_queries("resonate_store.postgres", "backlog.sql")["backlog"]
_EVENTS = load_queries("resonate_store.postgres", "events.sql")
_SCHEDULES = load_queries("resonate_store.postgres", "schedules.sql")


class PostgresStore:
    """A store in one schema of a PostgreSQL database.

    Batches have a session of their own; searches and sweeps have a small pool beside it.

    Attributes:
        triggers: what only a server with RabbitMQ has.
        events: likewise.
    """

    def __init__(self, url: str, namespace: str) -> None:
        """Name the database; `open` is the way to a store that is known to work.

        Args:
            url: of the database, as asyncpg takes it: over TCP, for some timeouts need it, and
                not through a pooler that gives each transaction another session.
            namespace: names the schema that has the tables.
        """
        self._url = url
        self._namespace = namespace
        self._data_path = DataPath(url, namespace)
        self._readers = Pool(url, settings.reads(namespace), READERS_MAX)
        self._writers = Pool(url, settings.data_path(namespace), 1)
        self._publishing = Pool(url, settings.data_path(namespace), 1)
        self.events = PostgresEvents(self._publishing)
        self.triggers = PostgresTriggers(self._readers, self._writers)

    @classmethod
    async def open(cls, url: str, namespace: str) -> Self:
        """Look whether the tables are there, and return their store.

        Raises:
            SchemaError: they are missing, or belong to another release.
            UnavailableError: the database cannot be reached.
        """
        connection = await connect(url, settings.reads(namespace))
        try:
            await check(connection, namespace)
        finally:
            await connection.close()
        return cls(url, namespace)

    @property
    def conflicts(self) -> Counter[str]:
        """Transactions that lost against others, by the name of the error."""
        return self._data_path.conflicts

    async def begin(self, load: LoadSet) -> PostgresTransaction:
        """Lock what is named, then read it and the instant."""
        return await self._data_path.begin(load)

    async def due(self, limit: int, at_ms: int | None = None) -> Due:
        """Read the timers that are due, now or at another instant."""
        rows = await self._read(_QUERIES["due"], limit, at_ms)
        timers = tuple(Timer(due_at, id) for _, _, due_at, id in rows if id is not None)
        return Due(now_ms=self._now_ms(rows, at_ms), timers=timers, next_at_ms=rows[0][1])

    async def due_schedules(self, limit: int, at_ms: int | None = None) -> DueSchedules:
        """Read the schedules that are due, now or at another instant."""
        rows = await self._read(_SCHEDULES["due"], limit, at_ms)
        due = tuple(schedules.to_schedule(row[2:]) for row in rows if row[2] is not None)
        now_ms = self._now_ms(rows, at_ms)
        return DueSchedules(now_ms=now_ms, schedules=due, next_at_ms=rows[0][1])

    async def search_schedules(
        self, tags: Mapping[str, str], after: str | None, limit: int
    ) -> ScheduleRows:
        """Find schedules by the tags of their promises, looking at a bounded number of rows."""
        page = (to_json(tags), after or "", limit, SEARCH_ROWS_MAX)
        rows = await self._read(_SCHEDULES["search"], *page)
        found = tuple(schedules.to_schedule(row[1:]) for row in rows if row[1] is not None)
        return ScheduleRows(schedules=found, scanned_to=rows[0][0])

    async def inbox(self, limit: int) -> tuple[InboxEntry, ...]:
        """Name calls that applications have left, in the order of their numbers."""
        async with self._readers.connection() as connection:
            return await inbox.waiting(connection, limit)

    async def listen(self, on_inbox: Callable[[], None]) -> None:
        """Call back when an application may have left a call; never returns.

        It may be called for nothing, and not be called while the connection is away.
        """
        channel = notices.inbox_channel(self._namespace)
        await notices.listen(self._url, settings.notices(self._namespace), channel, on_inbox)

    async def tend(self) -> NoReturn:
        """Leave no transaction open that nobody uses; never returns.

        Without it the database ends the session of a store that does nothing for 3 s.
        """
        await self._data_path.tend()

    def _now_ms(self, rows: Sequence[Row], at_ms: int | None) -> int:
        return self._data_path.observe(rows[0][0]) if at_ms is None else at_ms

    async def groups(self, name: str | None) -> tuple[Group, ...]:
        """Read the limits of all groups by name, without what they hold; or one, if it has any."""
        async with self._readers.connection() as connection:
            if name is None:
                return await groups.read_all(connection)
            return await groups.read(connection, [name])

    async def adopt(self, group: str) -> None:
        """Let a limited group hold what its workers have had before the limits were known."""
        async with self._writers.connection() as connection:
            await groups.adopt(connection, group)

    async def queued(self, group: str, wanted: Wanted) -> tuple[str, ...]:
        """Name tasks of a group that wait for room: by priority, then those waiting longest."""
        rows = await self._read(
            _QUERIES["queued"],
            group,
            wanted.count_max,
            SEARCH_ROWS_MAX,
            wanted.may_start,
            wanted.full_keys,
            wanted.late_keys,
        )
        return tuple(id for (id,) in rows)

    async def queued_groups(self, limit: int) -> tuple[str, ...]:
        """Name groups that have such tasks, ascending."""
        return tuple(group for (group,) in await self._read(_QUERIES["queued_groups"], limit))

    async def search(
        self,
        tags: Mapping[str, str],
        after: str | None,
        limit: int,
        states: tuple[PromiseState, ...] = (),
    ) -> Page:
        """Find promises by tags above an id, looking at a bounded number of rows."""
        page = (to_json(tags), after or "", limit, SEARCH_ROWS_MAX, states or None)
        origin = tags.get(tag.ORIGIN)
        if origin is None:
            return await self._page("search_all", *page, SEARCH_BYTES_MAX)
        return await self._page("search_origin", *page, origin, SEARCH_BYTES_MAX)

    async def search_tasks(self, state: TaskState | None, after: str | None, limit: int) -> Page:
        """Find promises that have a task, stored in this state, looking at a bounded number."""
        page = (state, after or "", limit, SEARCH_ROWS_MAX, SEARCH_BYTES_MAX)
        return await self._page("search_tasks", *page)

    async def _page(self, query: str, *parameters: Any) -> Page:
        rows = await self._read(_QUERIES[query], *parameters)
        return Page(
            now_ms=self._data_path.observe(rows[0][0]),
            promises=tuple(to_promise(row[2:]) for row in rows if row[2] is not None),
            scanned_to=rows[0][1],
        )

    async def backlog(self, count_max: int) -> Backlog:
        """Count what waits beside the promises, no more than `count_max` of each."""
        async with self._readers.connection() as connection:
            ((now_ms, events, oldest_at_ms, left, refused),) = await connection.fetch(
                _BACKLOG, count_max
            )
            limited = await groups.read_all(connection)
            if limited:
                limited = await groups.read(connection, [group.name for group in limited])
        return Backlog(
            now_ms=now_ms,
            events=events,
            oldest_event_at_ms=oldest_at_ms,
            inbox=left,
            inbox_refused=refused,
            groups=limited,
        )

    async def snapshot(self) -> Snapshot:
        """Read everything, as it was at one moment."""
        async with self._readers.connection() as connection:
            await connection.execute("begin isolation level repeatable read")
            try:
                promises = await connection.fetch(_QUERIES["all_promises"])
                callbacks = await connection.fetch(_QUERIES["all_callbacks"])
                listeners = await connection.fetch(_QUERIES["all_listeners"])
                timers = await connection.fetch(_QUERIES["all_timers"])
                scheduled = await connection.fetch(_SCHEDULES["all"])
            finally:
                await connection.execute("rollback")
        return Snapshot(
            promises=tuple(to_promise(row) for row in promises),
            callbacks=tuple(Callback(*row) for row in callbacks),
            listeners=tuple(Listener(*row) for row in listeners),
            timers=tuple(Timer(*row) for row in timers),
            schedules=tuple(schedules.to_schedule(row) for row in scheduled),
        )

    async def retired(self, position: int, settled_before_ms: int) -> Retired:
        """Look at the next rows for trees of which something settled before an instant."""
        end = position + RETIRED_PAGES_MAX
        rows = await self._read(
            _QUERIES["retired"], f"({position},0)", f"({end},0)", settled_before_ms
        )
        trees = tuple(tree for _, tree in rows if tree is not None)
        return Retired(trees=trees, next_position=end if end < rows[0][0] else 0)

    async def remove_tree(self, tree: str, settled_before_ms: int, rows_max: int) -> int:
        """Remove a part of a tree if all of it may go; return how many promises went."""
        async with self._writers.connection() as connection:
            removed: int = await connection.fetch_value(
                _QUERIES["remove_tree"], tree, settled_before_ms, rows_max
            )
            if removed:
                await connection.fetch(_EVENTS["forget_origin"], tree)
                await troubles.forget_origin(connection, tree)
            return removed

    async def reset(self) -> None:
        """Delete everything."""
        connection = await connect(self._url, settings.data_path(self._namespace))
        try:
            await connection.execute(_QUERIES["reset"])
        finally:
            await connection.close()

    async def secret(self) -> str:
        """A text that whoever works with these tables shares, and that nobody can guess."""
        return (await self._read(_QUERIES["secret"]))[0][0]

    async def close(self) -> None:
        """End all sessions."""
        await self._data_path.close()
        await self._readers.close()
        await self._writers.close()
        await self._publishing.close()

    async def _read(self, statement: str, *parameters: Any) -> Sequence[Row]:
        async with self._readers.connection() as connection:
            return await connection.fetch(statement, *parameters)
