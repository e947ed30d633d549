"""Frames of messages, made and read: AMQP 0-9-1 §2.3 and §4.2, as far as messages need it."""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct

from resonate_sdk.amqp.field_table import read_table, write_table

METHOD = 1
HEADER = 2
BODY = 3
HEARTBEAT = 8
KINDS = frozenset((METHOD, HEADER, BODY, HEARTBEAT))

BASIC = 60  # the class of all methods below
PUBLISH = 40
RETURN = 50
DELIVER = 60
ACK = 80
REJECT = 90
NACK = 120

FRAME_HEAD = struct.Struct(">BHI")  # kind, channel, bytes of the payload
FRAME_END = b"\xce"
FRAME_OVERHEAD_BYTES = FRAME_HEAD.size + len(FRAME_END)
METHOD_HEAD = struct.Struct(">HH")  # class, method
HEARTBEAT_FRAME = FRAME_HEAD.pack(HEARTBEAT, 0, 0) + FRAME_END

_ACK = struct.Struct(">HHQB")
_HEADER_HEAD = struct.Struct(">HHQH")  # class, weight, bytes of the body, which properties
_INSTANT = struct.Struct(">Q")
_MANDATORY = 1
_MULTIPLE = 1
_REQUEUE = 1
_PERSISTENT = 2
_TRANSIENT = 1

# Which properties a header has, in the order in which they stand in it.
_HAS_CONTENT_TYPE = 1 << 15
_HAS_CONTENT_ENCODING = 1 << 14
_HAS_HEADERS = 1 << 13
_HAS_DELIVERY_MODE = 1 << 12
_HAS_PRIORITY = 1 << 11
_HAS_CORRELATION_ID = 1 << 10
_HAS_REPLY_TO = 1 << 9
_HAS_EXPIRATION = 1 << 8
_HAS_MESSAGE_ID = 1 << 7
_HAS_TIMESTAMP = 1 << 6
_HAS_KIND = 1 << 5
_HAS_USER_ID = 1 << 4
_HAS_APP_ID = 1 << 3

TEXT_BYTES_MAX = 255
CONTENT_TYPE = b"\x10application/json"
UNREADABLE = (ValueError, OverflowError, OSError, LookupError, struct.error)


class Properties(Struct, frozen=True, kw_only=True):
    """What travels beside the body of a message.

    Attributes:
        content_type: of the body; what we write is JSON unless this says otherwise.
        content_encoding: how the body is packed, or its characters are.
        kind: what the message is, in the property `type`.
        sent_at_s: when it was published, by the clock of who did that; epoch seconds.
        user_id: who published it, verified by the broker.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    kind: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    message_id: str | None = None
    sent_at_s: int | None = None
    user_id: str | None = None
    app_id: str | None = None
    headers: Mapping[str, Any] = {}


def publish_frames(
    channel: int,
    *,
    exchange: str,
    routing_key: str,
    is_mandatory: bool,
    is_persistent: bool,
    properties: Properties,
    body: bytes,
    frame_bytes_max: int,
) -> bytes:
    """Make the frames of a message.

    Raises:
        ValueError: a text is longer than 255 bytes.
    """
    parts = [
        _publish_frame(channel, exchange, routing_key, is_mandatory),
        _frame(HEADER, channel, _header(properties, is_persistent, len(body))),
    ]
    part_bytes = frame_bytes_max - FRAME_OVERHEAD_BYTES
    for start in range(0, len(body), part_bytes):
        parts.append(_frame(BODY, channel, body[start : start + part_bytes]))
    return b"".join(parts)


def ack_frame(channel: int, delivery_tag: int, *, multiple: bool) -> bytes:
    """Make an acknowledgement."""
    return _frame(METHOD, channel, _ACK.pack(BASIC, ACK, delivery_tag, _MULTIPLE * multiple))


def reject_frame(channel: int, delivery_tag: int, *, requeue: bool) -> bytes:
    """Make a rejection."""
    return _frame(METHOD, channel, _ACK.pack(BASIC, REJECT, delivery_tag, _REQUEUE * requeue))


def read_confirm(payload: bytes) -> tuple[int, bool]:
    """Read the number of a message that was confirmed or refused, and whether of all before it."""
    _, _, tag, bits = _ACK.unpack_from(payload)
    return tag, bool(bits & _MULTIPLE)


def read_name(payload: bytes, at: int) -> tuple[str, int]:
    """Read an exchange or routing key, whatever bytes it has, and where the next field begins."""
    end = at + 1 + payload[at]
    return str(payload[at + 1 : end], "utf-8", "replace"), end


def body_bytes(header: bytes) -> int:
    """How long the body is that follows a header."""
    return _HEADER_HEAD.unpack_from(header)[2]


def read_properties(header: bytes) -> Properties:
    """Read the properties of a message.

    Raises:
        UNREADABLE: some client has put in a text that is no UTF-8, or an instant beyond all
            calendars.
    """
    flags = _HEADER_HEAD.unpack_from(header)[3]
    at = _HEADER_HEAD.size
    headers: Mapping[str, Any] = {}
    content_type = content_encoding = kind = correlation_id = reply_to = None
    message_id = user_id = app_id = sent_at_s = None
    if flags & _HAS_CONTENT_TYPE:
        content_type, at = _read_text(header, at)
    if flags & _HAS_CONTENT_ENCODING:
        content_encoding, at = _read_text(header, at)
    if flags & _HAS_HEADERS:
        headers, at = read_table(header, at)
    if flags & _HAS_DELIVERY_MODE:
        at += 1
    if flags & _HAS_PRIORITY:
        at += 1
    if flags & _HAS_CORRELATION_ID:
        correlation_id, at = _read_text(header, at)
    if flags & _HAS_REPLY_TO:
        reply_to, at = _read_text(header, at)
    if flags & _HAS_EXPIRATION:
        at += 1 + header[at]
    if flags & _HAS_MESSAGE_ID:
        message_id, at = _read_text(header, at)
    if flags & _HAS_TIMESTAMP:
        (sent_at_s,) = _INSTANT.unpack_from(header, at)
        at += _INSTANT.size
    if flags & _HAS_KIND:
        kind, at = _read_text(header, at)
    if flags & _HAS_USER_ID:
        user_id, at = _read_text(header, at)
    if flags & _HAS_APP_ID:
        app_id, at = _read_text(header, at)
    return Properties(
        content_type=content_type,
        content_encoding=content_encoding,
        kind=kind,
        correlation_id=correlation_id,
        reply_to=reply_to,
        message_id=message_id,
        sent_at_s=sent_at_s,
        user_id=user_id,
        app_id=app_id,
        headers=headers,
    )


def _read_text(header: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + header[at]
    return str(header[at + 1 : end], "utf-8"), end


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return FRAME_HEAD.pack(kind, channel, len(payload)) + payload + FRAME_END


@lru_cache(maxsize=1024)
def _publish_frame(channel: int, exchange: str, routing_key: str, is_mandatory: bool) -> bytes:
    payload = (
        METHOD_HEAD.pack(BASIC, PUBLISH)
        + b"\x00\x00"
        + _text(exchange)
        + _text(routing_key)
        + bytes((_MANDATORY * is_mandatory,))
    )
    return _frame(METHOD, channel, payload)


def _header(properties: Properties, is_persistent: bool, size: int) -> bytes:
    flags = _HAS_CONTENT_TYPE | _HAS_DELIVERY_MODE
    content_type = properties.content_type
    parts = [b"", CONTENT_TYPE if content_type is None else _text(content_type)]
    if properties.content_encoding:
        flags |= _HAS_CONTENT_ENCODING
        parts.append(_text(properties.content_encoding))
    if properties.headers:
        flags |= _HAS_HEADERS
        parts.append(write_table(properties.headers))
    parts.append(bytes((_PERSISTENT if is_persistent else _TRANSIENT,)))
    if properties.correlation_id:
        flags |= _HAS_CORRELATION_ID
        parts.append(_text(properties.correlation_id))
    if properties.reply_to:
        flags |= _HAS_REPLY_TO
        parts.append(_text(properties.reply_to))
    if properties.message_id:
        flags |= _HAS_MESSAGE_ID
        parts.append(_text(properties.message_id))
    if properties.sent_at_s is not None:
        flags |= _HAS_TIMESTAMP
        parts.append(_INSTANT.pack(properties.sent_at_s))
    if properties.kind:
        flags |= _HAS_KIND
        parts.append(_text(properties.kind))
    if properties.user_id:
        flags |= _HAS_USER_ID
        parts.append(_text(properties.user_id))
    if properties.app_id:
        flags |= _HAS_APP_ID
        parts.append(_text(properties.app_id))
    parts[0] = _HEADER_HEAD.pack(BASIC, 0, size, flags)
    return b"".join(parts)


def _text(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > TEXT_BYTES_MAX:
        raise ValueError(f"{text!r} has {len(encoded)} bytes, {TEXT_BYTES_MAX} are possible")
    return bytes((len(encoded),)) + encoded
