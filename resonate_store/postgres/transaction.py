"""A transaction of a batch: what it has read, and how it ends."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from resonate_store.postgres import events, groups, inbox, schedules, troubles
from resonate_store.postgres.connection import Connection, Row, with_text
from resonate_store.postgres.errors import note_conflict
from resonate_store.postgres.rows import to_document, to_promise
from resonate_store.queries import load_queries
from resonate_store.state import (
    Callback,
    Changes,
    Group,
    InboxRow,
    Listener,
    Loaded,
    Promise,
    Schedule,
    TaskTrouble,
)
from resonate_store.store import RejectedError, StoreError, UnavailableError

# More takes seconds to send and to read, and the session is ended meanwhile: the batch would be tried
# again as it is. Refused, it is tried in halves. What one message can write is always less.
DOCUMENT_BYTES_MAX = 64 * 1024 * 1024

_STORE = load_queries("resonate_store.postgres")["store"]
_INSERT_USES = load_queries("resonate_store.postgres")["insert_uses"]
_COMMIT = "commit and chain"
_PROMISE_STARTS_AT = 5  # what comes before it in a row of load_v1: kind, awaited, waiting, now, xid


class Beside(Struct, frozen=True):
    """What few batches deal with: rows under their locks, and the members of branches.

    Attributes:
        related: members of branches, not locked.
        read_at_ms: when these were read, which was after `load_v1` had its instant.
    """

    schedules: tuple[Schedule, ...]
    inbox: tuple[InboxRow, ...]
    groups: tuple[Group, ...]
    troubles: tuple[TaskTrouble, ...]
    related: tuple[Promise, ...]
    read_at_ms: int


class PostgresTransaction:
    """Locks, and what was read under them.

    Attributes:
        loaded: what was read.
        is_over: whether it has been committed or rolled back, and holds nothing any more.
    """

    def __init__(
        self,
        connection: Connection,
        rows: Sequence[Row],
        beside: Beside,
        observe: Callable[[int], int],
        was_committed: Callable[[int], Awaitable[bool]],
        conflicts: Counter[str],
    ) -> None:
        """Take over an open transaction.

        Args:
            connection: the session that it is open in.
            rows: what `load_v1` has returned in it.
            beside: what other statements have found.
            observe: makes its instant one that is not earlier than those before.
            was_committed: learns from its number what became of it.
            conflicts: counts what it loses against others.
        """
        self.is_over = False
        self._connection = connection
        self._was_committed = was_committed
        self._conflicts = conflicts
        end = rows[-1]
        assert end["kind"] == "end", "load_v1 returns its instant last"
        self._xid: int = end["xid"]
        now_ms = max(end["now_ms"], beside.read_at_ms)
        self.loaded = _loaded(rows, beside, observe(now_ms))
        self._stored = {promise.id: promise for promise in self.loaded.promises}

    async def commit(self, changes: Changes) -> None:
        """Write and make durable, in one round trip unless there is more than promises to write.

        The next transaction is begun on the way.
        """
        assert not self.is_over, "a transaction ends once"
        if not changes:
            await self.rollback()
            return
        try:
            if self._connection.is_closed:
                raise UnavailableError("the connection broke before anything was written")
            store = self._statement(changes)
            if changes.has_more_than_promises:
                await self._connection.execute(store)
                await self._write_more(changes)
                await self._commit(_COMMIT)
            else:
                await self._commit(f"{store}; {_COMMIT}")
        except StoreError as error:
            note_conflict(self._conflicts, error)
            await self._connection.roll_back(error)
            raise
        except BaseException:
            self._connection.abort()
            raise
        finally:
            self.is_over = True

    async def rollback(self) -> None:
        """Let the locks go, if they are still held."""
        if not self.is_over:
            try:
                await self._connection.roll_back()
            finally:
                self.is_over = True  # cancelled, it has broken the connection

    def _statement(self, changes: Changes) -> str:
        try:
            document = to_document(changes, self._stored)
        except UnicodeEncodeError as error:
            raise RejectedError(f"text that is not Unicode: {error}") from error
        if len(document) > DOCUMENT_BYTES_MAX:
            raise RejectedError(f"{len(document)} bytes are too many for one transaction")
        return with_text(_STORE, document.decode())

    async def _write_more(self, changes: Changes) -> None:
        if changes.uses_added:
            uses = [(use.id, use.origin) for use in changes.uses_added]
            await self._connection.fetch(_INSERT_USES, *zip(*uses, strict=True))
        if changes.has_schedules:
            await schedules.store(self._connection, changes)
        await inbox.store(self._connection, changes)
        if changes.events:
            await events.store(self._connection, changes.events)
        await groups.store(self._connection, changes)
        await troubles.store(self._connection, changes.troubles_put)

    async def _commit(self, sql: str) -> None:
        """Run statements of which the last one commits.

        Raises:
            UnavailableError: it was not committed.
            FateUnknownError: nobody can say whether it was.
        """
        try:
            await self._connection.execute(sql)
        except StoreError as error:
            was_told = not isinstance(error, UnavailableError)
            if was_told and self._connection.is_in_transaction:
                raise  # what comes before the commit has failed
            # It may have been carried out all the same: only the database knows.
            self._connection.abort()
            if not await self._was_committed(self._xid):
                raise UnavailableError(f"it was not committed: {error}") from error


def _loaded(
    rows: Sequence[Row],
    beside: Beside,
    now_ms: int,
) -> Loaded:
    promises: dict[str, Promise] = {}
    related = list(beside.related)
    callbacks: list[Callback] = []
    listeners: list[Listener] = []
    for row in rows:
        match row[0]:
            case "promise":
                promise = to_promise(row[_PROMISE_STARTS_AT:])
                promises[promise.id] = promise
            case "related":
                related.append(to_promise(row[_PROMISE_STARTS_AT:]))
            case "callback":
                callbacks.append(Callback(row[1], row[2]))
            case "listener":
                listeners.append(Listener(row[1], row[2]))
            case kind:
                assert kind == "end", kind
    # A promise that was inserted after the lock statement looked has not been locked: for this
    # transaction neither it nor what hangs on it exists.
    return Loaded(
        now_ms=now_ms,
        promises=tuple(promises.values()),
        callbacks=tuple(c for c in callbacks if c.awaited in promises),
        listeners=tuple(x for x in listeners if x.awaited in promises),
        related=tuple(related),
        schedules=beside.schedules,
        inbox=beside.inbox,
        groups=beside.groups,
        troubles=tuple(row for row in beside.troubles if row.task in promises),
    )
