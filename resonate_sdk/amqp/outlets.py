"""Publishing to exchanges of others: what one of them refuses does no harm to anything else.

The broker answers a message for an exchange that is not there, or that we may not use, by closing
the channel. So each exchange has a connection of its own, opened when it is needed.
"""

# aiormq leaves open what its futures hold.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import logging
from collections import OrderedDict
from typing import Any

from aio_pika.abc import AbstractConnection
from aiormq.channel import Channel
from yarl import URL

from resonate_sdk.amqp.publisher import Publication, RefusedError, ReturnedError
from resonate_sdk.amqp.session import (
    AMQP_ERRORS,
    CLOSE_TIMEOUT_S,
    SessionLostError,
    data_channel,
    describe,
    publisher_on,
)
from resonate_sdk.amqp.wire import Wire, connect

logger = logging.getLogger(__name__)

OUTLETS_MAX = 32
PUBLISH_TIMEOUT_S = 8.0  # the opening of a connection included


class NotDeliveredError(Exception):
    """Nobody has the message, as far as we know; it says why."""


class _Outlet:
    """A connection with one channel, for one exchange."""

    def __init__(self, connection: AbstractConnection, channel: Channel, wire: Wire) -> None:
        self.connection = connection
        self.publisher = publisher_on(channel, wire)
        self._channel = channel
        closing: asyncio.Future[Any] = channel.closing
        closing.add_done_callback(self._closed)

    @property
    def is_open(self) -> bool:
        return not self._channel.is_closed

    def _closed(self, closing: "asyncio.Future[Any]") -> None:
        error = None if closing.cancelled() else closing.exception()
        reason = describe(error) if error else "its channel was closed"
        self.publisher.fail(SessionLostError(reason))


class Outlets:
    """The connections to a bounded number of exchanges."""

    def __init__(self, url: str, *, name: str, heartbeat_s: int) -> None:
        """Connect when something is published.

        Args:
            url: of the broker.
            name: shown to operators.
            heartbeat_s: how often either side must be heard.
        """
        self._url = URL(url).update_query(heartbeat=heartbeat_s)
        self._name = name
        self._outlets = OrderedDict[str, _Outlet]()  # by exchange, used least recently first
        self._locks = tuple(asyncio.Lock() for _ in range(OUTLETS_MAX))

    async def publish(self, publication: Publication) -> None:
        """Publish a message; returns when the broker has put it into a queue.

        Raises:
            NotDeliveredError: it has not, or has not said so in time.
        """
        exchange = publication.exchange
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                outlet = await self._outlet(exchange)
                await outlet.publisher.publish(publication)
        except (ReturnedError, RefusedError) as error:
            raise NotDeliveredError(str(error)) from error
        except (SessionLostError, *AMQP_ERRORS) as error:
            await self._drop(exchange)
            raise NotDeliveredError(f"exchange {exchange!r}: {describe(error)}") from error

    async def close(self) -> None:
        """Disconnect."""
        for exchange in tuple(self._outlets):
            await self._drop(exchange)

    async def _outlet(self, exchange: str) -> _Outlet:
        # Exchanges may share a lock; a lock for each would have to be forgotten at some time.
        async with self._locks[hash(exchange) % len(self._locks)]:
            outlet = self._outlets.get(exchange)
            if outlet is None or not outlet.is_open:
                await self._drop(exchange)
                outlet = await self._open(exchange)
            self._outlets[exchange] = outlet
            self._outlets.move_to_end(exchange)
        while len(self._outlets) > OUTLETS_MAX:
            await self._drop(next(iter(self._outlets)))
        return outlet

    async def _open(self, exchange: str) -> _Outlet:
        connection, wire = await connect(self._url, name=f"{self._name}/{exchange}")
        try:
            return _Outlet(connection, await data_channel(connection, confirms=True), wire)
        except BaseException:
            await _close(connection)
            raise

    async def _drop(self, exchange: str) -> None:
        outlet = self._outlets.pop(exchange, None)
        if outlet is None:
            return
        outlet.publisher.fail(SessionLostError("the connection was closed"))
        await _close(outlet.connection)


async def _close(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await connection.close()
    except AMQP_ERRORS as error:
        logger.debug("closing a connection failed reason=%s", describe(error))
