"""The one session that runs the transactions of batches."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random

from resonate_sdk.protocol import limits
from resonate_store.postgres import fate, groups, inbox, schedules, settings, troubles
from resonate_store.postgres.connection import Connection, connect
from resonate_store.postgres.errors import note_conflict
from resonate_store.postgres.rows import to_promise
from resonate_store.postgres.transaction import Beside, PostgresTransaction
from resonate_store.queries import load_queries
from resonate_store.state import LoadSet, Promise
from resonate_store.store import (
    AWAITERS_MAX,
    PRELOAD_ROWS_MAX,
    StoreError,
    UnavailableError,
)

CONNECT_ATTEMPTS_MAX = 3
CONNECT_WAIT_SECONDS_MAX = 0.1
AHEAD_SECONDS = 0.05  # about ten batches of somebody who makes one call after the other

_LOAD = load_queries("resonate_store.postgres")["load"]
_BRANCHES = load_queries("resonate_store.postgres")["branches"]

logger = logging.getLogger(__name__)


class DataPath:
    """Runs one transaction at a time, and opens its session anew when that has broken.

    Each is begun with the commit before. It holds nothing until it is used, and `tend` ends one
    that is not used soon.

    Attributes:
        conflicts: transactions that lost against others, by the name of the error.
    """

    def __init__(self, url: str, namespace: str) -> None:
        """Name the database; nothing is opened yet."""
        self.conflicts = Counter[str]()
        self._url = url
        self._namespace = namespace
        self._connection: Connection | None = None
        self._home = ""
        self._transaction: PostgresTransaction | None = None
        self._last_now_ms = 0
        self._is_used = asyncio.Event()
        self._turn = asyncio.Lock()

    async def begin(self, load: LoadSet) -> PostgresTransaction:
        """Lock what is named, then read it and the instant."""
        async with self._turn:
            self._is_used.set()
            return await self._begin(load)

    async def tend(self) -> NoReturn:
        """End what was begun ahead and is not used soon, until cancelled."""
        while True:
            await self._is_used.wait()
            self._is_used.clear()
            await asyncio.sleep(AHEAD_SECONDS)
            if self._is_used.is_set():
                continue
            async with self._turn:
                if self._transaction is not None and not self._transaction.is_over:
                    self._is_used.set()  # look again when it may be over
                elif self._connection is not None and self._connection.is_in_transaction:
                    await self._connection.roll_back()

    async def _begin(self, load: LoadSet) -> PostgresTransaction:
        assert self._transaction is None or self._transaction.is_over, "one transaction at a time"
        connection = await self._open()
        try:
            if not connection.is_in_transaction:  # begun with the commit before
                await connection.execute("begin")
            left = await inbox.load(connection, load.inbox)
            limited = await groups.load(connection, load.groups)
            scheduled = await schedules.load(connection, load.schedules)
            rows = await connection.fetch(
                _LOAD,
                load.ids or None,
                load.settling or None,
                load.preload or None,
                AWAITERS_MAX,
                PRELOAD_ROWS_MAX,
                limits.PRELOAD_BYTES_MAX,
            )
            told = await troubles.load(connection, load.troubles)
            related, read_at_ms = await _members(connection, load.branches)
            self._transaction = PostgresTransaction(
                connection,
                rows,
                Beside(scheduled, left, limited, told, related, read_at_ms),
                self.observe,
                self._was_committed,
                self.conflicts,
            )
        except StoreError as error:
            note_conflict(self.conflicts, error)
            await connection.roll_back(error)
            raise
        except BaseException:
            connection.abort()
            raise
        return self._transaction

    def observe(self, now_ms: int) -> int:
        """Note an instant of the database; return it, never earlier than the one before."""
        self._last_now_ms = max(self._last_now_ms, now_ms)
        return self._last_now_ms

    async def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            await self._connection.close()

    async def _open(self) -> Connection:
        if self._connection is None or self._connection.is_closed:
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(CONNECT_ATTEMPTS_MAX),
                wait=wait_random(0, CONNECT_WAIT_SECONDS_MAX),
                retry=retry_if_exception_type(UnavailableError),
                reraise=True,
            ):
                with attempt:
                    self._connection = await self._connect()
        assert self._connection is not None, "retrying ends with a connection or an error"
        return self._connection

    async def _connect(self) -> Connection:
        connection = await connect(self._url, settings.data_path(self._namespace))
        try:
            home = await fate.read_home(connection)
        except BaseException:
            connection.abort()
            raise
        # Where one was before, each attempt to go on has another session.
        level = logging.DEBUG if home == self._home else logging.INFO
        logger.log(level, "data path connected namespace=%s home=%s", self._namespace, home)
        self._home = home
        return connection

    async def _was_committed(self, xid: int) -> bool:
        identity = fate.Identity(xid, self._home)
        return await fate.was_committed(self._url, settings.reads(self._namespace), identity)


async def _members(
    connection: Connection, branches: Sequence[str]
) -> tuple[tuple[Promise, ...], int]:
    """Read branches and the remote children of all in them, and the instant of that."""
    if not branches:
        return (), 0
    rows = await connection.fetch(_BRANCHES, branches, PRELOAD_ROWS_MAX, limits.PRELOAD_BYTES_MAX)
    related = tuple(to_promise(columns) for _, *columns in rows)
    return related, max((read_at_ms for read_at_ms, *_ in rows), default=0)
