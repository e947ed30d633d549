"""Steps that are carried out by consumers which know no protocol: their messages and replies."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from resonate_broker.integration import plain
from resonate_broker.integration.plain import UNREADABLE, NotPlainError, PlainMessage
from resonate_sdk.protocol import traces
from resonate_sdk.protocol.records import PromiseRecord, Value
from resonate_sdk.protocol.requests import PromiseSettle

CALL = "resonate.call"
DEADLINE_HEADER = "resonate-deadline"  # epoch ms
JSON_CONTENT = "json"
FUNC_BYTES_MAX = 1_024  # the broker closes the connection of who publishes too large a header
TEXT_CONTENT = "text/"


class Call(Struct, frozen=True):
    """What a promise asks for, as the SDK stores it."""

    func: str
    args: list[Raw] = field(default_factory=list[Raw])
    kwargs: dict[str, Raw] = field(default_factory=dict[str, Raw])


def message(promise: PromiseRecord) -> PlainMessage:
    """What is asked: one argument is the body, several are a list, those by name an object.

    Raises:
        NotPlainError: the call has no such form.
    """
    call = read_call(promise)
    if call.args and call.kwargs:
        raise NotPlainError(
            f"promise {promise.id!r} has arguments by position and by name: the body of a plain "
            "message is either a list or an object"
        )
    match call.args:
        case []:
            body = msgspec.json.encode(call.kwargs or None)
        case [one]:
            body = bytes(one)
        case several:
            body = msgspec.json.encode(several)
    headers = {
        plain.PROMISE_HEADER: promise.id,
        plain.FUNC_HEADER: call.func,
        DEADLINE_HEADER: promise.timeout_at_ms,
        **traces.of(promise.param.headers),
    }
    return PlainMessage(kind=CALL, body=body, headers=headers)


def read_call(promise: PromiseRecord) -> Call:
    """Read what a promise asks for.

    Raises:
        NotPlainError: it is encrypted, or no call that a message could carry.
    """
    try:
        call = msgspec.json.decode(plain.plain(promise.param), type=Call)
    except UNREADABLE as error:
        raise NotPlainError(f"promise {promise.id!r} holds no call: {error}") from error
    if len(call.func.encode()) > FUNC_BYTES_MAX:
        raise NotPlainError(
            f"promise {promise.id!r} calls a function whose name has {len(call.func.encode())} "
            f"bytes, a header of a message has room for {FUNC_BYTES_MAX}"
        )
    return call


def rejection(reason: str) -> Value:
    """The value of a promise whose call cannot be made."""
    return plain.stored(plain.failure(reason))


def settlement(
    promise_id: str, body: bytes, content_type: str | None, headers: Mapping[str, Any]
) -> PromiseSettle:
    """What a reply says about a promise; a reply that cannot be stored rejects it."""
    error = headers.get(plain.ERROR_HEADER)
    try:
        if error is not None:
            return PromiseSettle(id=promise_id, state="rejected", value=_failure(error, body))
        value = plain.stored(as_json(body, content_type or ""))
        return PromiseSettle(id=promise_id, state="resolved", value=value)
    except ValueError as unfit:
        return unfit_settlement(promise_id, unfit)


def unfit_settlement(promise_id: str, unfit: ValueError) -> PromiseSettle:
    """What a reply does that cannot be stored: it rejects the promise."""
    value = rejection(f"the reply cannot be stored: {unfit}")
    return PromiseSettle(id=promise_id, state="rejected", value=value)


def as_json(body: bytes, content_type: str) -> bytes:
    """The body as JSON: it is, or it is text, or its base64."""
    if not body:
        return b"null"
    content_type = content_type.lower()
    if not content_type.startswith(TEXT_CONTENT):
        try:
            msgspec.json.decode(body)
        except UNREADABLE as error:
            if JSON_CONTENT in content_type:
                raise NotPlainError(f"it says it is JSON, and is not: {error}") from error
        else:
            return body
    try:
        return msgspec.json.encode(body.decode())
    except UnicodeDecodeError:
        return msgspec.json.encode(base64.b64encode(body).decode())


def _failure(error: object, body: bytes) -> Value:
    """The error that the body tells in full, or else what the header says."""
    try:
        if isinstance(plain.read_json(body), dict) and b'"__type"' in body:
            return plain.stored(body)
    except NotPlainError:
        pass
    return rejection(str(error)[: plain.ERROR_CHARS_MAX] or "rejected")
