"""Looking through a queue of dead letters: what is taken and not settled goes back."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import ChannelClosed, DeliveryError, PublishError
from msgspec import Struct

from resonate_sdk.amqp.session import AMQP_ERRORS, CALL_TIMEOUT_S, SessionLostError, describe


class Letter(Struct, frozen=True, kw_only=True):
    """A message of the queue, with all that is needed to publish it again."""

    body: bytes
    routing_key: str
    headers: Mapping[str, Any]
    kind: str | None
    content_type: str | None
    content_encoding: str | None
    correlation_id: str | None
    reply_to: str | None
    message_id: str | None
    user_id: str | None
    taken: AbstractIncomingMessage


class UndeliverableError(Exception):
    """A letter cannot go where it came from; the message says why. Others may."""


class Letters:
    """One pass through a queue.

    Attributes:
        count: how many there were at its beginning.
    """

    def __init__(
        self, connection: AbstractConnection, channel: AbstractChannel, queue: str, count: int
    ) -> None:
        """Made by `open_letters`."""
        self.count = count
        self._connection = connection
        self._channel = channel
        self._queue = queue
        self._publishing: AbstractChannel | None = None

    async def take(self) -> Letter | None:
        """Take the next letter; None when there is none."""
        async with _calling("take a dead letter"):
            queue = await self._channel.get_queue(self._queue, ensure=False)
            message = await queue.get(no_ack=False, fail=False)
        if message is None:
            return None
        return Letter(
            body=message.body,
            routing_key=message.routing_key or "",
            headers=message.headers,
            kind=message.type,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            correlation_id=message.correlation_id,
            reply_to=message.reply_to,
            message_id=message.message_id,
            user_id=message.user_id,
            taken=message,
        )

    async def publish(
        self,
        letter: Letter,
        *,
        exchange: str,
        routing_key: str,
        message_id: str | None,
        headers: Mapping[str, Any],
    ) -> None:
        """Publish a letter as what it was; returns when a queue has it.

        Raises:
            UndeliverableError: no queue takes it.
            SessionLostError: the broker does not answer.
        """
        message = aio_pika.Message(
            letter.body,
            headers=dict(headers),
            type=letter.kind,
            content_type=letter.content_type,
            content_encoding=letter.content_encoding,
            correlation_id=letter.correlation_id,
            reply_to=letter.reply_to,
            message_id=message_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                channel = await self._channel_to_publish()
                target = channel.default_exchange
                if exchange:
                    target = await channel.get_exchange(exchange, ensure=False)
                await target.publish(message, routing_key=routing_key, mandatory=True)
        except PublishError as error:
            place = f"exchange {exchange!r} takes {routing_key!r}" if exchange else ""
            raise UndeliverableError(
                f"no queue of {place}" if place else f"there is no queue {routing_key!r}"
            ) from error
        except DeliveryError as error:
            raise UndeliverableError("a queue is full and refuses it") from error
        except ChannelClosed as error:
            raise UndeliverableError(describe(error)) from error
        except AMQP_ERRORS as error:
            raise SessionLostError(
                f"could not publish to {exchange or routing_key}: {describe(error)}"
            ) from error

    async def remove(self, letter: Letter) -> None:
        """Remove a letter from the queue."""
        async with _calling("remove a dead letter"):
            await letter.taken.ack()

    async def _channel_to_publish(self) -> AbstractChannel:
        """A channel of its own: the broker closes it if the exchange is gone."""
        if self._publishing is None or self._publishing.is_closed:
            self._publishing = await self._connection.channel(
                publisher_confirms=True, on_return_raises=True
            )
        return self._publishing


@asynccontextmanager
async def open_letters(url: str, queue: str, *, name: str) -> AsyncGenerator[Letters]:
    """Begin a pass; at its end what was neither removed nor lost is in the queue again.

    Raises:
        SessionLostError: the broker cannot be reached, or there is no such queue.
    """
    async with _calling("connect to RabbitMQ"):
        connection = await aio_pika.connect(url, client_properties={"connection_name": name})
    try:
        async with _calling(f"open the queue {queue}"):
            channel = await connection.channel(publisher_confirms=False)
            declared = await channel.declare_queue(queue, passive=True)
        count = declared.declaration_result.message_count or 0
        yield Letters(connection, channel, queue, count)
    finally:
        async with _calling("disconnect"):
            await connection.close()


@asynccontextmanager
async def _calling(what: str) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            yield
    except AMQP_ERRORS as error:
        raise SessionLostError(f"could not {what}: {describe(error)}") from error
