"""Being told that there is something to look at: a hint, which may come for nothing or not at all."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import NoReturn

from resonate_store.postgres.connection import Connection, connect
from resonate_store.store import StoreError

PROBE_SECONDS = 5  # a connection that has silently gone is found out after this
RECONNECT_SECONDS_MIN = 0.1
RECONNECT_SECONDS_MAX = 5.0

_PROBE = "select"

logger = logging.getLogger(__name__)


def inbox_channel(namespace: str) -> str:
    """The channel on which `submit` tells that it has left a call."""
    return f"{namespace}.inbox"


async def listen(
    url: str, settings: Mapping[str, str], channel: str, on_notice: Callable[[], None]
) -> NoReturn:
    """Call back for each notice, until cancelled; connect again whenever the connection breaks.

    Also called when a connection has been made: nobody knows what was missed.
    """
    backoff_s = RECONNECT_SECONDS_MIN
    while True:
        try:
            connection = await connect(url, settings)
            try:
                is_lost = asyncio.Event()
                await connection.listen(channel, on_notice, is_lost.set)
                on_notice()
                backoff_s = RECONNECT_SECONDS_MIN
                await _until_lost(connection, is_lost)
            finally:
                connection.abort()
            logger.warning("connection for notices lost channel=%s", channel)
        except StoreError as error:
            logger.warning("no notices, trying again channel=%s reason=%s", channel, error)
        await asyncio.sleep(random.SystemRandom().uniform(0.5, 1.0) * backoff_s)
        backoff_s = min(2 * backoff_s, RECONNECT_SECONDS_MAX)


async def _until_lost(connection: Connection, is_lost: asyncio.Event) -> None:
    while not is_lost.is_set():
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await is_lost.wait()
        except TimeoutError:
            await connection.fetch(_PROBE)
