"""The form of a plain message, and of the values in it."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from resonate_sdk.protocol.records import EMPTY, Value

FUNC_HEADER = "resonate-func"
TARGET_HEADER = "resonate-target"
TIMEOUT_HEADER = "resonate-timeout"
DELAY_HEADER = "resonate-delay"
VERSION_HEADER = "resonate-version"
KEY_HEADER = "resonate-key"
PRIORITY_HEADER = "resonate-priority"
ACKNOWLEDGE_HEADER = "resonate-acknowledge"
PROMISE_HEADER = "resonate-promise"
STATE_HEADER = "resonate-state"
STATUS_HEADER = "resonate-status"
ERROR_HEADER = "resonate-error"
FIRST_DIED_AT_HEADER = "resonate-first-died-at"  # of what was a dead letter, epoch ms
ENCRYPTION_HEADER = "resonate-encryption"

VALUE_ENCRYPTION_HEADER = "resonate:enc"  # by which the SDK marks values that it has encrypted
ERROR_CHARS_MAX = 1_000
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class PlainMessage(Struct, frozen=True, kw_only=True):
    """What somebody gets who knows nothing but AMQP and JSON.

    Attributes:
        kind: what it is, in the property `type`.
        body: JSON.
    """

    kind: str
    body: bytes
    headers: Mapping[str, str | int]


class NotPlainError(ValueError):
    """A message or a value cannot be translated; the message says why."""


def stored(body: bytes) -> Value:
    """JSON as the SDK stores it."""
    return EMPTY if body in (b"", b"null") else Value(data=base64.b64encode(body).decode())


def plain(value: Value) -> bytes:
    """The JSON of a stored value.

    Raises:
        NotPlainError: it is encrypted, or nothing that the SDK has stored.
    """
    if not value.data:
        return b"null"
    method = encryption_of(value)
    if method is not None:
        raise NotPlainError(f"the value is encrypted by {method!r}")
    try:
        body = base64.b64decode(value.data, validate=True)
        msgspec.json.decode(body)
    except (binascii.Error, ValueError, *UNREADABLE) as error:
        raise NotPlainError("the value is not base64 of JSON") from error
    return body


def encryption_of(value: Value) -> str | None:
    """By what method a value is encrypted; None if it is not."""
    return (value.headers or {}).get(VALUE_ENCRYPTION_HEADER)


def sealed(value: Value) -> bytes:
    """An encrypted value as JSON text: base64, which its readers know how to open."""
    return msgspec.json.encode(value.data)


def read_json(body: bytes) -> Any:
    """Read a body.

    Raises:
        NotPlainError: it is not JSON.
    """
    try:
        return msgspec.json.decode(body)
    except UNREADABLE as error:
        raise NotPlainError(f"the body is not JSON: {error}") from error


def failure(message: str, name: str | None = None) -> bytes:
    """An error as the SDK stores it, so that its readers raise it."""
    document = {"__type": "error", "message": message, "lang": "amqp"}
    return msgspec.json.encode(document if name is None else document | {"name": name})
