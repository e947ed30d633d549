"""Connections to PostgreSQL: the only module that imports asyncpg, and knows its errors."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

from resonate_store.postgres.errors import store_error
from resonate_store.store import StoreError, UnavailableError

CONNECT_SECONDS_MAX = 2
# The server ends a statement after 10 s; later than this, there is no server to hear from.
ANSWER_SECONDS_MAX = 12
CLOSE_SECONDS_MAX = 2

Row: TypeAlias = asyncpg.Record  # what its cells are, only the statement knows
_Session: TypeAlias = "asyncpg.Connection[Row] | PoolConnectionProxy[Row]"

_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError is one
)


class Connection:
    """A session of PostgreSQL; whatever it raises is a `StoreError`."""

    def __init__(self, connection: _Session) -> None:
        """Take a connection of asyncpg, its own or lent by a pool."""
        self._connection = connection

    @property
    def is_closed(self) -> bool:
        """Whether it has ended, as far as this side has noticed."""
        return self._connection.is_closed()

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, as the database has said last."""
        return not self.is_closed and self._connection.is_in_transaction()

    async def execute(self, sql: str) -> str:
        """Run statements without parameters; return the tag of the last one."""
        try:
            return await self._connection.execute(sql)
        except _ERRORS as error:
            raise _store_error(error) from error

    async def fetch(self, sql: str, *parameters: Any) -> Sequence[Row]:
        """Run a statement, prepared when it is met first, and return its rows."""
        try:
            return await self._connection.fetch(sql, *parameters)
        except _ERRORS as error:
            raise _store_error(error) from error

    async def fetch_value(self, sql: str, *parameters: Any) -> Any:
        """Run a statement and return the first column of its first row."""
        try:
            return await self._connection.fetchval(sql, *parameters)
        except _ERRORS as error:
            raise _store_error(error) from error

    async def listen(
        self, channel: str, on_notice: Callable[[], None], on_lost: Callable[[], None]
    ) -> None:
        """Call back for each notice of a channel, and when the connection is lost."""

        def noticed(*_: object) -> None:
            on_notice()

        def lost(*_: object) -> None:
            on_lost()

        try:
            self._connection.add_termination_listener(lost)
            await self._connection.add_listener(channel, noticed)
        except _ERRORS as error:
            raise _store_error(error) from error

    async def roll_back(self, error: StoreError | None = None) -> None:
        """End the transaction, after an error or without; never raises.

        A session that may be broken ends with it: another one is soon opened.
        """
        if isinstance(error, UnavailableError):
            self.abort()
            return
        try:
            await self.execute("rollback")
        except StoreError:
            self.abort()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Break the connection, without a word to the server."""
        self._connection.terminate()

    async def close(self) -> None:
        """End the session in an orderly way, if there is still somebody to say it to."""
        try:
            await self._connection.close(timeout=CLOSE_SECONDS_MAX)
        except _ERRORS:
            self.abort()


class Pool:
    """Sessions of equal settings for statements that stand alone; opened when needed."""

    def __init__(self, url: str, settings: Mapping[str, str], size_max: int) -> None:
        """Name the database; nothing is opened yet."""
        self._url = url
        self._settings = settings
        self._size_max = size_max
        self._pool: asyncpg.Pool[Row] | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Lend a session."""
        with _translated():
            if self._pool is None:
                self._pool = asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._size_max,
                    timeout=CONNECT_SECONDS_MAX,
                    command_timeout=ANSWER_SECONDS_MAX,
                    server_settings=dict(self._settings),
                    target_session_attrs=SessionAttribute.primary,
                    reset=_keep,
                )
                await self._pool  # does not wait, since it opens nothing
            acquired = await self._pool.acquire(timeout=ANSWER_SECONDS_MAX)
        try:
            yield Connection(acquired)
        finally:
            with _translated():
                await self._pool.release(acquired)

    async def close(self) -> None:
        """End the sessions; those still in use soon lose their connection."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._pool.close()
        except _ERRORS:
            self._pool.terminate()


async def connect(
    url: str,
    settings: Mapping[str, str],
    *,
    answer_seconds_max: float | None = ANSWER_SECONDS_MAX,
) -> Connection:
    """Open a session on the primary server of a database.

    Args:
        url: of the database.
        settings: of the session.
        answer_seconds_max: how long a statement may take; None if there is no telling.

    Raises:
        UnavailableError: there is none to be had; the message says why.
    """
    with _translated():
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS_MAX,
            command_timeout=answer_seconds_max,
            server_settings=dict(settings),
            target_session_attrs=SessionAttribute.primary,
        )
    return Connection(connection)


async def _keep(connection: "asyncpg.Connection[Row]") -> None:
    """Leave a returned session as it is: statements that stand alone leave nothing behind."""


def with_text(sql: str, text: str) -> str:
    """Put a text in the place of `$1`: statements that are sent together have no parameters."""
    quoted = text.replace("'", "''")
    return sql.replace("$1", f"'{quoted}'")


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except _ERRORS as error:
        raise _store_error(error) from error


def _store_error(error: Exception) -> StoreError:
    match error:
        case asyncpg.PostgresError():
            return store_error(error.sqlstate, str(error.args[0]))
        case TimeoutError():
            return UnavailableError("the database did not answer in time")
        case _:
            return UnavailableError(f"the database cannot be reached: {error}")
