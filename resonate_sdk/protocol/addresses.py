"""Addresses of worker groups and processes, and their one stored form.

`g`, `poll://g` and `poll://any@g[/pid]` become `amqp://any@g[/pid]`, `poll://uni@g/pid` becomes
`amqp://uni@g/pid`: the group is the identity, the scheme a hint.

`amqp-exchange://orders/price.quote` is a target that knows no protocol: whoever takes the messages of
this exchange with this routing key. Without an exchange (`amqp-exchange:///quotes`) it is a queue.

`celery://queue` and `celery://exchange/routing.key` are the same for workers of Celery.

Only the server makes `amqp-reply://queue/correlation-id`: where somebody waits for a result who
does not know the protocol. No request may contain it.
"""

import re
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote

from msgspec import Struct

from resonate_sdk.protocol import limits

_NAME = r"[A-Za-z0-9_-]{1,64}"
_BARE = re.compile(_NAME)
_FULL = re.compile(
    rf"(?:amqp|poll)://(?:(?P<cast>any|uni)@)?(?P<group>{_NAME})(?:/(?P<pid>{_NAME}))?"
)

_EXCHANGE_SCHEME = "amqp-exchange://"
_CELERY_SCHEME = "celery://"
_CELERY_PREFIX = "celery+"
_REPLY_SCHEME = "amqp-reply://"
_REPLY_SAFE = "=+.:@!$&'()*,;<>[]{}| "  # what needs no escape, to keep the rows short


class AddressError(ValueError):
    """The text is not an address that any transport here can reach."""


class Address(Struct, frozen=True):
    """A worker group, or one process of it.

    Attributes:
        cast: `any` lets each process of the group take a message and prefers `pid`;
            `uni` means the process `pid` and no other.
    """

    cast: Literal["any", "uni"]
    group: str
    pid: str | None = None

    def __str__(self) -> str:
        """The stored form."""
        suffix = "" if self.pid is None else f"/{self.pid}"
        return f"amqp://{self.cast}@{self.group}{suffix}"


class ExchangeAddress(Struct, frozen=True):
    """An exchange of somebody else and a routing key; without an exchange, the name of a queue."""

    exchange: str
    routing_key: str

    def __str__(self) -> str:
        """The stored form."""
        return f"{_EXCHANGE_SCHEME}{quote(self.exchange, safe=_REPLY_SAFE)}/{self.routing_key}"


class CeleryAddress(ExchangeAddress, frozen=True):
    """Workers of Celery that take tasks from a queue, or by an exchange and a routing key."""

    def __str__(self) -> str:
        """The stored form."""
        exchange = quote(self.exchange, safe=_REPLY_SAFE)
        return _CELERY_SCHEME + (f"{exchange}/" if exchange else "") + self.routing_key


class ReplyAddress(Struct, frozen=True):
    """A queue in which somebody waits for a plain message with this correlation id."""

    queue: str
    correlation_id: str

    def __str__(self) -> str:
        """The stored form."""
        queue = quote(self.queue, safe=_REPLY_SAFE)
        return f"{_REPLY_SCHEME}{queue}/{quote(self.correlation_id, safe=_REPLY_SAFE)}"


class CeleryReplyAddress(ReplyAddress, frozen=True):
    """The same, for the result backend of a producer of Celery."""

    def __str__(self) -> str:
        """The stored form."""
        return _CELERY_PREFIX + ReplyAddress.__str__(self)


def parse_listener(text: str) -> Address | ReplyAddress:
    """Read the stored address of a listener.

    Raises:
        AddressError: the text has no accepted form.
    """
    plain = text.removeprefix(_CELERY_PREFIX)
    if not plain.startswith(_REPLY_SCHEME):
        return parse(text)
    queue, slash, correlation_id = plain.removeprefix(_REPLY_SCHEME).partition("/")
    if not slash:
        raise AddressError(f"{text!r} names no correlation id")
    kind = ReplyAddress if plain == text else CeleryReplyAddress
    return kind(unquote(queue), unquote(correlation_id))


@lru_cache(maxsize=4096)
def parse_target(text: str) -> Address | ExchangeAddress:
    """Read the address of who carries out a task.

    Raises:
        AddressError: the text has no accepted form.
    """
    if text.startswith(_CELERY_SCHEME):
        exchange, slash, routing_key = text.removeprefix(_CELERY_SCHEME).rpartition("/")
        address, slash = CeleryAddress(unquote(exchange), routing_key), "/"
    elif text.startswith(_EXCHANGE_SCHEME):
        exchange, slash, routing_key = text.removeprefix(_EXCHANGE_SCHEME).partition("/")
        address = ExchangeAddress(unquote(exchange), routing_key)
    else:
        return _parse_group(text)
    parts = (address.exchange, address.routing_key)
    if not slash or not any(parts):
        raise AddressError(
            f"{text!r} names no routing key: write 'amqp-exchange://exchange/routing.key', "
            "'amqp-exchange:///queue', 'celery://queue' or 'celery://exchange/routing.key'"
        )
    if any(len(part.encode()) > limits.AMQP_TEXT_BYTES_MAX for part in parts):
        raise AddressError(
            f"{text[:100]!r}… has a part of more than {limits.AMQP_TEXT_BYTES_MAX} bytes"
        )
    return address


def is_of_service(text: str) -> bool:
    """Whether this means the address of somebody who knows no protocol, well written or not."""
    return text.startswith((_EXCHANGE_SCHEME, _CELERY_SCHEME))


def _parse_group(text: str) -> Address:
    try:
        return parse(text)
    except AddressError as error:
        raise AddressError(
            f"{error}; for services without the SDK 'amqp-exchange://exchange/routing.key' or "
            "'celery://queue'"
        ) from error


@lru_cache(maxsize=4096)
def parse(text: str) -> Address:
    """Read an address in any of its accepted forms.

    Raises:
        AddressError: the text has no accepted form; the message says which forms are.
    """
    if _BARE.fullmatch(text):
        return Address("any", text)
    match = _FULL.fullmatch(text)
    if match is None or (match["pid"] is not None and match["cast"] is None):
        raise AddressError(
            f"{text!r} is no address: write a group name like 'billing', "
            "'amqp://any@group', 'amqp://any@group/pid' or 'amqp://uni@group/pid'"
        )
    if match["cast"] == "uni":
        if match["pid"] is None:
            raise AddressError(f"{text!r} names no process: write 'amqp://uni@group/pid'")
        return Address("uni", match["group"], match["pid"])
    return Address("any", match["group"], match["pid"])


@lru_cache(maxsize=4096)
def normalize(text: str) -> str:
    """Return the one stored form of an address.

    Raises:
        AddressError: as `parse`.
    """
    return str(parse_target(text))
