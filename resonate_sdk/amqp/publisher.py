"""Publishing: confirmed where it matters, many messages in one write."""

# aiormq leaves open what its futures and queues hold.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping
from typing import Any

import aiormq
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from msgspec import Struct
from pamqp import commands

from resonate_sdk.amqp.frames import FrameWriter, message_frames

PERSISTENT = 2
TRANSIENT = 1


class RefusedError(Exception):
    """The broker did not take the message: its queue is full, or is being deleted."""


class ReturnedError(Exception):
    """No queue is there for the message."""


class Publication(Struct, frozen=True, kw_only=True):
    """A message to publish.

    Attributes:
        kind: what the message is, in the property `type`.
        is_mandatory: whether it comes back when no queue is there for it.
        is_persistent: whether it survives a restart of the broker.
    """

    exchange: str
    routing_key: str
    body: bytes
    kind: str = ""
    correlation_id: str | None = None
    reply_to: str | None = None
    app_id: str | None = None
    headers: Mapping[str, Any] | None = None
    is_mandatory: bool = True
    is_persistent: bool = True


class Publisher:
    """One channel in confirm mode, used for nothing but publishing."""

    def __init__(self, channel: Channel, writer: FrameWriter) -> None:
        """Publish on a channel through the writer of its connection."""
        self.channel = channel
        self._writer = writer
        self._count = 0
        self._prefix = f"{secrets.token_hex(6)}-"
        self._failure: Exception | None = None
        self._sent_at_s = deque[tuple[int, float]]()  # by number, oldest first

    @property
    def unconfirmed(self) -> int:
        """Messages that the broker has neither confirmed nor refused."""
        return len(self.channel.confirmations)

    @property
    def unconfirmed_s(self) -> float:
        """How long the oldest of them has waited, in seconds; 0 if there is none."""
        self._forget_confirmed()
        if not self._sent_at_s:
            return 0.0
        return asyncio.get_running_loop().time() - self._sent_at_s[0][1]

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the connection has not taken yet."""
        return self._writer.waiting_bytes

    def publish(self, publication: Publication) -> "asyncio.Future[None]":
        """Publish a message soon, in order.

        Returns:
            Done when the broker has confirmed it; `ReturnedError`, `RefusedError`, or the error
            given to `fail` otherwise.
        """
        channel = self.channel
        loop = asyncio.get_running_loop()
        confirmed: asyncio.Future[None] = loop.create_future()
        confirmation: asyncio.Future[Any] = loop.create_future()
        confirmation.add_done_callback(lambda done: _translate(done, confirmed))
        confirmed.add_done_callback(_retrieve)
        if self._failure is not None:
            confirmed.set_exception(self._failure)
            return confirmed

        # aiormq matches confirms by the number of the message, and returns by its id.
        self._count += 1
        message_id = f"{self._prefix}{self._count}"
        channel.delivery_tag += 1
        channel.confirmations[channel.delivery_tag] = confirmation
        self._forget_confirmed()
        self._sent_at_s.append((channel.delivery_tag, loop.time()))
        if publication.is_mandatory:
            channel.message_id_delivery_tag[message_id] = channel.delivery_tag
            confirmation.add_done_callback(
                lambda _: channel.message_id_delivery_tag.pop(message_id, None)
            )
        self._writer.write(self._frames(publication, message_id))
        return confirmed

    def fail(self, error: Exception) -> None:
        """The broker will say nothing more: give up what it has not confirmed, and all to come."""
        self._failure = error
        for confirmation in tuple(self.channel.confirmations.values()):
            if not confirmation.done():
                confirmation.add_done_callback(_retrieve)
                confirmation.set_exception(error)
        self.channel.confirmations.clear()

    def _forget_confirmed(self) -> None:
        while self._sent_at_s and self._sent_at_s[0][0] not in self.channel.confirmations:
            self._sent_at_s.popleft()

    def _frames(self, publication: Publication, message_id: str) -> bytes:
        headers = publication.headers
        properties = commands.Basic.Properties(
            content_type="application/json",
            delivery_mode=PERSISTENT if publication.is_persistent else TRANSIENT,
            message_id=message_id,
            message_type=publication.kind or None,
            correlation_id=publication.correlation_id,
            reply_to=publication.reply_to,
            app_id=publication.app_id,
            headers=dict(headers) if headers else None,
        )
        return message_frames(
            self.channel.number,
            exchange=publication.exchange,
            routing_key=publication.routing_key,
            mandatory=publication.is_mandatory,
            properties=properties,
            body=publication.body,
            frame_bytes_max=self.channel.connection.connection_tune.frame_max,
        )


def _translate(confirmation: "asyncio.Future[Any]", confirmed: "asyncio.Future[None]") -> None:
    """Say in our words what aiormq says about a message."""
    if confirmed.done():
        return
    error = confirmation.exception()
    match error:
        case None:
            confirmed.set_result(None)
        case aiormq.exceptions.PublishError():
            confirmed.set_exception(ReturnedError(_routed(error.message)))
        case aiormq.exceptions.DeliveryError():
            confirmed.set_exception(RefusedError("the broker refused the message"))
        case _:
            confirmed.set_exception(error)


def _routed(message: DeliveredMessage) -> str:
    return f"no queue takes {message.routing_key!r} of exchange {message.exchange!r}"


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Not everybody wants to know; then a failure is no news for the log either."""
    if not future.cancelled():
        future.exception()
