"""Publishing: confirmed where it matters, many messages in one write."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from resonate_sdk.amqp.frames import Properties, publish_frames
from resonate_sdk.amqp.splitter import Confirm, Delivery, Event, Return
from resonate_sdk.amqp.under_way import UnderWay
from resonate_sdk.amqp.wire import Wire


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
        user_id: who publishes it; the broker refuses any but the user of the connection.
        sent_at_s: now, if who gets it should know how old it is; epoch seconds.
        content_type: of a body that is not JSON.
        content_encoding: how such a body is packed, or its characters are.
    """

    exchange: str
    routing_key: str
    body: bytes
    kind: str = ""
    correlation_id: str | None = None
    reply_to: str | None = None
    app_id: str | None = None
    user_id: str | None = None
    headers: Mapping[str, Any] | None = None
    is_mandatory: bool = True
    is_persistent: bool = True
    sent_at_s: int | None = None
    content_type: str | None = None
    content_encoding: str | None = None


class _Unconfirmed(Struct, frozen=True):
    confirmed: "asyncio.Future[None]"
    sent_at_s: float


class Publisher:
    """One channel in confirm mode, used for nothing but publishing."""

    def __init__(self, wire: Wire, *, channel: int, frame_bytes_max: int) -> None:
        """Publish on a channel of the connection that has this wire.

        Args:
            wire: of the connection.
            channel: its number.
            frame_bytes_max: what broker and client have agreed on.
        """
        self._wire = wire
        self._channel = channel
        self._frame_bytes_max = frame_bytes_max
        self._count = 0
        self._prefix = f"{secrets.token_hex(6)}-"
        self._failure: Exception | None = None
        self._unconfirmed = OrderedDict[int, _Unconfirmed]()  # by number, oldest first
        wire.take_over(channel, self._received)

    @property
    def under_way(self) -> UnderWay:
        """What the broker has not dealt with yet."""
        oldest_s = 0.0
        if self._unconfirmed:
            oldest = next(iter(self._unconfirmed.values()))
            oldest_s = asyncio.get_running_loop().time() - oldest.sent_at_s
        return UnderWay(
            messages=len(self._unconfirmed),
            oldest_s=oldest_s,
            unsent_bytes=self._wire.waiting_bytes,
        )

    def publish(self, publication: Publication) -> "asyncio.Future[None]":
        """Publish a message soon, in order.

        Returns:
            Done when the broker has confirmed it; `ReturnedError`, `RefusedError`, or the error
            given to `fail` otherwise.
        """
        loop = asyncio.get_running_loop()
        confirmed: asyncio.Future[None] = loop.create_future()
        if self._failure is not None:
            _fail(confirmed, self._failure)
            return confirmed
        # The broker confirms by the number of the message, and returns with its id.
        self._count += 1
        frames = self._frames(publication, f"{self._prefix}{self._count}")
        self._unconfirmed[self._count] = _Unconfirmed(confirmed, loop.time())
        self._wire.write(frames)
        return confirmed

    def fail(self, error: Exception) -> None:
        """The broker will say nothing more: give up what it has not confirmed, and all to come."""
        self._failure = error
        for unconfirmed in self._unconfirmed.values():
            _fail(unconfirmed.confirmed, error)
        self._unconfirmed.clear()

    def _received(self, event: Event) -> None:
        match event:
            case Confirm(tag=tag, multiple=multiple, is_taken=is_taken):
                while multiple and self._unconfirmed:
                    oldest = next(iter(self._unconfirmed))
                    if oldest > tag:
                        break
                    self._answered(oldest, is_taken)
                if not multiple:
                    self._answered(tag, is_taken)
            case Return(message_id=message_id):
                self._returned(event, message_id)
            case Delivery():
                raise AssertionError("nothing is consumed on this channel")

    def _answered(self, number: int, is_taken: bool) -> None:
        unconfirmed = self._unconfirmed.pop(number, None)
        if unconfirmed is None:
            return  # it has been returned before
        if not is_taken:
            _fail(unconfirmed.confirmed, RefusedError("the broker refused the message"))
        elif not unconfirmed.confirmed.done():
            unconfirmed.confirmed.set_result(None)

    def _returned(self, returned: Return, message_id: str | None) -> None:
        number = (message_id or "").removeprefix(self._prefix)
        unconfirmed = self._unconfirmed.pop(int(number), None) if number.isdecimal() else None
        if unconfirmed is not None:
            where = f"queue takes {returned.routing_key!r} of exchange {returned.exchange!r}"
            _fail(unconfirmed.confirmed, ReturnedError(f"no {where}"))

    def _frames(self, publication: Publication, message_id: str) -> bytes:
        properties = Properties(
            content_type=publication.content_type,
            content_encoding=publication.content_encoding,
            kind=publication.kind or None,
            correlation_id=publication.correlation_id,
            reply_to=publication.reply_to,
            message_id=message_id,
            sent_at_s=publication.sent_at_s,
            app_id=publication.app_id,
            user_id=publication.user_id,
            headers=publication.headers or {},
        )
        return publish_frames(
            self._channel,
            exchange=publication.exchange,
            routing_key=publication.routing_key,
            is_mandatory=publication.is_mandatory,
            is_persistent=publication.is_persistent,
            properties=properties,
            body=publication.body,
            frame_bytes_max=self._frame_bytes_max,
        )


def _fail(confirmed: "asyncio.Future[None]", error: Exception) -> None:
    if not confirmed.done():
        confirmed.set_exception(error)
        confirmed.exception()  # not everybody wants to know, and then it is no news for the log
