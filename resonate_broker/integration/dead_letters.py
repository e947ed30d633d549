"""What stands beside the body of a dead letter: why and when it died, and how to send it again."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from resonate_broker.integration import celery
from resonate_broker.integration.invocation import is_invocation
from resonate_broker.integration.plain import FIRST_DIED_AT_HEADER
from resonate_sdk.protocol.topology import REASON_HEADER, Names

DIED_AT_HEADER = "resonate-died-at"  # epoch ms
EXCHANGE_HEADER = "resonate-exchange"
ROUTING_KEY_HEADER = "resonate-routing-key"
MESSAGE_ID_HEADER = "resonate-message-id"
USER_ID_HEADER = "resonate-user-id"
REASON_CHARS_MAX = 1_000
ID_CHARS = 12
KEPT_BYTES_MAX = 32_000  # of the headers that it had; the broker limits those of a message

_OF_A_LETTER = frozenset(
    {
        REASON_HEADER,
        DIED_AT_HEADER,
        FIRST_DIED_AT_HEADER,
        EXCHANGE_HEADER,
        ROUTING_KEY_HEADER,
        MESSAGE_ID_HEADER,
        USER_ID_HEADER,
    }
)

_OF_THE_BROKER = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count")


def headers(
    had: Mapping[str, Any],
    *,
    reason: str,
    died_at_ms: int,
    exchange: str,
    routing_key: str,
    message_id: str | None,
    user_id: str | None,
) -> Mapping[str, Any]:
    """The headers of a dead letter: those that the message had, and what became of it."""
    kept = {name: text for name, text in had.items() if isinstance(text, str | int | bool)}
    if sum(len(f"{name}{text}".encode()) for name, text in kept.items()) > KEPT_BYTES_MAX:
        kept = {}
    ours = {
        REASON_HEADER: reason[:REASON_CHARS_MAX],
        DIED_AT_HEADER: died_at_ms,
        EXCHANGE_HEADER: exchange,
        ROUTING_KEY_HEADER: routing_key,
        MESSAGE_ID_HEADER: message_id,
        USER_ID_HEADER: user_id,
    }
    return kept | {name: text for name, text in ours.items() if text is not None}


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A dead letter, read: by us, or by the broker after too many deliveries.

    Attributes:
        id: by which an operator names it; the same however often it is looked at.
        died_at_ms: epoch ms; None if nobody wrote it down.
        first_died_at_ms: before it was replayed for the first time.
        exchange: where it had been published, with `routing_key`.
        promise_id: of the promise it belongs to, as far as that can be told.
        kept: the headers that the message had of its own.
    """

    id: str
    reason: str
    queue: str
    kind: str | None
    died_at_ms: int | None
    first_died_at_ms: int | None
    exchange: str
    routing_key: str
    message_id: str | None
    user_id: str | None
    promise_id: str | None
    kept: Mapping[str, Any]

    def headers_again(self) -> Mapping[str, Any]:
        """The headers with which it is published again."""
        if self.first_died_at_ms is None:
            return self.kept
        return {**self.kept, FIRST_DIED_AT_HEADER: self.first_died_at_ms}


def read(
    body: bytes,
    had: Mapping[str, Any],
    *,
    names: Names,
    queue: str,
    kind: str | None,
    message_id: str | None,
    correlation_id: str | None,
    user_id: str | None,
) -> DeadLetter:
    """Read a dead letter.

    Args:
        body: of the message.
        had: its headers.
        names: of the queues and exchanges of the namespace.
        queue: in which it died, its routing key now.
        kind: its property `type`.
        message_id: as it stands in the message.
        correlation_id: likewise; of a reply it names the promise.
        user_id: likewise.
    """
    reason, died_at_ms, exchange, routing_key = _by_the_broker(had)
    own = had.get(REASON_HEADER)
    if isinstance(own, str):
        reason, died_at_ms = own, _number(had.get(DIED_AT_HEADER))
        exchange = _text(had.get(EXCHANGE_HEADER), names.submit)
        routing_key = _text(had.get(ROUTING_KEY_HEADER), kind or "")
        # The broker wants another id for each message that we publish: this one was kept aside.
        message_id = had.get(MESSAGE_ID_HEADER)
        user_id = had.get(USER_ID_HEADER)
    if names.is_trigger_queue(queue):
        exchange, routing_key = "", queue  # others have had the event, and do not want it again
    name = sha256(b"\0".join((body, f"{queue} {message_id} {died_at_ms}".encode())))
    return DeadLetter(
        id=name.hexdigest()[:ID_CHARS],
        reason=reason,
        queue=queue,
        kind=kind,
        died_at_ms=died_at_ms,
        first_died_at_ms=_number(had.get(FIRST_DIED_AT_HEADER)) or died_at_ms,
        exchange=exchange,
        routing_key=routing_key,
        message_id=message_id,
        user_id=user_id,
        promise_id=_promise_id(body, had, routing_key, message_id, correlation_id),
        kept={name: text for name, text in had.items() if not _is_of_a_letter(name)},
    )


def _by_the_broker(had: Mapping[str, Any]) -> tuple[str, int | None, str, str]:
    """Reason, instant, exchange and key that the broker has written, if it has."""
    match had.get("x-death"):
        case [{**found}, *_]:
            death: Mapping[str, Any] = found
            match death.get("routing-keys"):
                case [str(key), *_]:
                    pass
                case _:
                    key = ""
            at: Any = death.get("time")
            died_at_ms = round(at.timestamp() * 1000) if hasattr(at, "timestamp") else None
            count = death.get("count", 1)
            reason = f"the broker gave it up: {death.get('reason', 'no reason')}, {count} times"
            return reason, died_at_ms, _text(death.get("exchange"), ""), key
        case _:
            return "no reason is known", None, "", ""


def _promise_id(
    body: bytes,
    had: Mapping[str, Any],
    routing_key: str,
    message_id: str | None,
    correlation_id: str | None,
) -> str | None:
    if is_invocation(routing_key):
        return had[celery.ID_HEADER] if celery.is_task(had) else message_id
    try:
        found = msgspec.json.decode(body, type=_Named).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _, dot, named = (correlation_id or "").partition(".")
        return unquote(named) if dot else None
    return found.id or found.awaited or None


class _Data(Struct, frozen=True):
    id: str = ""
    awaited: str = ""


class _Named(Struct, frozen=True):
    data: _Data


def _is_of_a_letter(name: str) -> bool:
    return name in _OF_A_LETTER or name.startswith(_OF_THE_BROKER)


def _number(found: Any) -> int | None:
    return found if isinstance(found, int) else None


def _text(found: Any, otherwise: str) -> str:
    return found if isinstance(found, str) else otherwise
