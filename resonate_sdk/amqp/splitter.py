"""What a broker sends, taken apart: messages and confirms are ours, all else is the library's.

Decisions only, no I/O. Reading every frame of every message is most of what a library does in this
system; here it is a few slices.
"""

import logging
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from resonate_sdk.amqp.frames import (
    ACK,
    BASIC,
    DELIVER,
    FRAME_END,
    FRAME_HEAD,
    FRAME_OVERHEAD_BYTES,
    HEADER,
    KINDS,
    METHOD,
    METHOD_HEAD,
    NACK,
    RETURN,
    UNREADABLE,
    Properties,
    body_bytes,
    read_confirm,
    read_name,
    read_properties,
)

logger = logging.getLogger(__name__)

_TAG = struct.Struct(">QB")


class BrokenStreamError(Exception):
    """What arrived is no AMQP."""


class Delivery(Struct, frozen=True, kw_only=True):
    """A message that has arrived.

    Attributes:
        tag: names it on its channel.
        is_redelivered: whether it has, perhaps, arrived before.
        routing_key: what it was published with.
        sent_at_s: when it was published, by the clock of who did that; epoch seconds.
        user_id: who published it, verified by the broker.
    """

    tag: int
    body: bytes
    is_redelivered: bool
    exchange: str
    routing_key: str
    kind: str | None
    correlation_id: str | None
    reply_to: str | None
    message_id: str | None
    user_id: str | None
    headers: Mapping[str, Any]
    content_type: str | None = None
    content_encoding: str | None = None
    sent_at_s: int | None = None


class Return(Struct, frozen=True, kw_only=True):
    """A message of ours for which there was no queue."""

    exchange: str
    routing_key: str
    message_id: str | None


class Confirm(Struct, frozen=True, kw_only=True):
    """The broker has taken a message of ours, or refused it.

    Attributes:
        tag: its number on its channel.
        multiple: whether all before it are meant as well.
        is_taken: whether it was taken.
    """

    tag: int
    multiple: bool
    is_taken: bool


Event = Delivery | Return | Confirm


class _Delivering(Struct, frozen=True):
    tag: int
    is_redelivered: bool
    exchange: str
    routing_key: str


class _Returning(Struct, frozen=True):
    exchange: str
    routing_key: str


class _Channel:
    """Puts the frames of one channel together."""

    __slots__ = ("_missing_bytes", "_opening", "_parts", "_properties", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._opening: _Delivering | _Returning | None = None
        self._properties = Properties()
        self._parts: list[bytes] = []
        self._missing_bytes = 0

    def take(self, kind: int, payload: bytes) -> bool:
        """Take a frame; False if it is none of ours."""
        if kind == METHOD:
            return self._take_method(payload)
        if self._opening is None:
            return False
        if kind == HEADER:
            self._properties = _properties(payload)
            self._missing_bytes = body_bytes(payload)
        else:
            self._parts.append(payload)
            self._missing_bytes -= len(payload)
        if self._missing_bytes <= 0:
            opening, self._opening = self._opening, None
            parts, self._parts = self._parts, []
            self.events.append(_event(opening, self._properties, b"".join(parts)))
        return True

    def _take_method(self, payload: bytes) -> bool:
        class_id, method = METHOD_HEAD.unpack_from(payload)
        if class_id != BASIC:
            return False
        if method == DELIVER:
            self._opening = _delivering(payload)
        elif method == RETURN:
            self._opening = _returning(payload)
        elif method in (ACK, NACK):
            tag, multiple = read_confirm(payload)
            self.events.append(Confirm(tag=tag, multiple=multiple, is_taken=method == ACK))
        else:
            return False
        return True


class FrameSplitter:
    """Splits a stream of frames, which may be fed in pieces of any size."""

    def __init__(self) -> None:
        """Everything belongs to the library until `take_over`."""
        self._channels: dict[int, _Channel] = {}
        self._rest = b""
        self._is_amqp: bool | None = None

    def take_over(self, channel: int) -> None:
        """From now on messages and confirms of a channel are ours."""
        assert channel not in self._channels, f"channel {channel} has been taken over already"
        self._channels[channel] = _Channel()

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived; the frames that belong to the library are returned.

        Raises:
            BrokenStreamError: it cannot be read.
        """
        if self._is_amqp is None:
            self._is_amqp = data[0] in KINDS
        if not self._is_amqp:
            return data  # no broker: the library has the words for that
        try:
            return self._split(data)
        except UNREADABLE as error:
            raise BrokenStreamError(str(error)) from error

    def take_events(self) -> Iterator[tuple[int, Event]]:
        """Take what has arrived on the channels that are ours, in order on each of them."""
        for number, channel in self._channels.items():
            if channel.events:
                events, channel.events = channel.events, []
                for event in events:
                    yield number, event

    def _split(self, data: bytes) -> bytes:
        buffer = self._rest + data if self._rest else data
        others: list[bytes] = []
        at, end = 0, len(buffer)
        while end - at >= FRAME_OVERHEAD_BYTES:
            kind, number, payload_bytes = FRAME_HEAD.unpack_from(buffer, at)
            stop = at + FRAME_OVERHEAD_BYTES + payload_bytes
            if stop > end:
                break
            if buffer[stop - 1] != FRAME_END[0]:
                raise BrokenStreamError(f"a frame of {payload_bytes} bytes has no end")
            channel = self._channels.get(number)
            if channel is None or not channel.take(kind, buffer[at + FRAME_HEAD.size : stop - 1]):
                others.append(buffer[at:stop])
            at = stop
        self._rest = buffer[at:]
        return b"".join(others)


def _event(
    opening: _Delivering | _Returning, properties: Properties, body: bytes
) -> Delivery | Return:
    match opening:
        case _Delivering():
            return Delivery(
                tag=opening.tag,
                body=body,
                is_redelivered=opening.is_redelivered,
                exchange=opening.exchange,
                routing_key=opening.routing_key,
                content_type=properties.content_type,
                content_encoding=properties.content_encoding,
                kind=properties.kind,
                correlation_id=properties.correlation_id,
                reply_to=properties.reply_to,
                message_id=properties.message_id,
                sent_at_s=properties.sent_at_s,
                user_id=properties.user_id,
                headers=properties.headers,
            )
        case _Returning():
            return Return(
                exchange=opening.exchange,
                routing_key=opening.routing_key,
                message_id=properties.message_id,
            )


def _delivering(payload: bytes) -> _Delivering:
    at = METHOD_HEAD.size
    at += 1 + payload[at]  # the tag of the consumer, which is the only one of its channel
    tag, bits = _TAG.unpack_from(payload, at)
    exchange, at = read_name(payload, at + _TAG.size)
    routing_key, _ = read_name(payload, at)
    return _Delivering(tag, bool(bits & 1), exchange, routing_key)


def _returning(payload: bytes) -> _Returning:
    at = METHOD_HEAD.size + 2  # behind the code of the reply
    at += 1 + payload[at]  # and its text
    exchange, at = read_name(payload, at)
    routing_key, _ = read_name(payload, at)
    return _Returning(exchange, routing_key)


def _properties(header: bytes) -> Properties:
    """What a header says; nothing if that cannot be read, since the broker would send it again."""
    try:
        return read_properties(header)
    except UNREADABLE as error:
        logger.warning("properties of a message could not be read reason=%s", error)
        return Properties()
