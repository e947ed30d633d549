"""What became of a transaction whose answer to COMMIT was lost."""

import logging
from collections.abc import Mapping
from time import monotonic

from msgspec import Struct
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from resonate_store.postgres.connection import Connection, connect
from resonate_store.queries import load_queries
from resonate_store.store import FateUnknownError, RejectedError, UnavailableError

FATE_SECONDS_MAX = 60
PATIENCE_SECONDS = 2  # a session that hangs in its COMMIT is ended after this
WAIT_SECONDS_FIRST = 0.02
WAIT_SECONDS_MAX = 0.5

_QUERIES = load_queries("resonate_store.postgres")

logger = logging.getLogger(__name__)


class Identity(Struct, frozen=True):
    """What a transaction is known by after its connection is gone.

    Attributes:
        xid: its number.
        home: the history of the cluster that it belongs to; in another one, the same number may
            belong to somebody else.
    """

    xid: int
    home: str


class _UndecidedError(Exception):
    """It is still in progress."""


async def read_home(connection: Connection) -> str:
    """Read which history of which cluster a session writes."""
    return await connection.fetch_value(_QUERIES["home"])


async def was_committed(url: str, settings: Mapping[str, str], identity: Identity) -> bool:
    """Ask the database, until it is there and knows, whether a transaction was committed.

    Raises:
        FateUnknownError: it cannot know, or did not answer for a minute.
    """
    deadline = monotonic() + PATIENCE_SECONDS
    retrying = AsyncRetrying(
        stop=stop_after_delay(FATE_SECONDS_MAX),
        wait=wait_random_exponential(multiplier=WAIT_SECONDS_FIRST, max=WAIT_SECONDS_MAX),
        retry=retry_if_exception_type((UnavailableError, _UndecidedError)),
        reraise=True,
    )
    try:
        async for attempt in retrying:
            with attempt:
                connection = await connect(url, settings)
                try:
                    is_committed = await _ask(connection, identity, monotonic() > deadline)
                finally:
                    await connection.close()
                logger.warning(
                    "fate of a commit learned xid=%d is_committed=%s", identity.xid, is_committed
                )
                return is_committed
    except (UnavailableError, _UndecidedError) as error:
        raise FateUnknownError(
            f"nobody could say for {FATE_SECONDS_MAX} s what became of transaction "
            f"{identity.xid}: {error}"
        ) from error
    raise AssertionError("retrying ends with a result or an error")


async def _ask(connection: Connection, identity: Identity, is_late: bool) -> bool:
    home = await read_home(connection)
    if home != identity.home:
        raise FateUnknownError(
            f"transaction {identity.xid} ran on {identity.home}, the database is now {home}"
        )
    try:
        status = await connection.fetch_value(_QUERIES["fate"], identity.xid)
    except RejectedError as error:
        raise FateUnknownError(f"transaction {identity.xid} is not known: {error}") from error
    match status:
        case "committed":
            return True
        case "aborted":
            return False
        case "in progress":
            if is_late:
                await connection.fetch(_QUERIES["end_transaction"], identity.xid)
            raise _UndecidedError("it is still in progress")
        case _:
            raise FateUnknownError(f"transaction {identity.xid} is too old to be known")
