"""Promises as documents for programs and as lines for people."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from rich.text import Text

from resonate_broker.cli.durations import format_duration
from resonate_broker.cli.output import has_symbols, plain
from resonate_broker.cli.tables import table_lines
from resonate_sdk.protocol import addresses, tags as tag
from resonate_sdk.protocol.records import PromiseRecord, PromiseState, Value
from resonate_sdk.protocol.requests import PromiseCreate

COLOURS: Mapping[PromiseState, str] = {
    "pending": "yellow",
    "resolved": "green",
    "rejected": "red",
    "rejected_canceled": "red",
    "rejected_timedout": "red",
}
WORDS: Mapping[PromiseState, str] = {
    "pending": "pending",
    "resolved": "resolved",
    "rejected": "rejected",
    "rejected_canceled": "canceled",
    "rejected_timedout": "timed out",
}
SYMBOLS = {"yellow": "🟡", "green": "🟢", "red": "🔴"}
CREATED = "created"
EXISTED = "exists already"
HEADS = ("ID", "STATE", "AGE", "TARGET", "FUNCTION")
LABEL_CHARS = 8
SUMMARY_CHARS_MAX = 100


class Call(Struct, frozen=True):
    """What the parameter of a call says, as far as it can be shown."""

    func: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    version: int = 1


def state_of(state: PromiseState, *, symbols: bool) -> Text:
    """A state with its colour, and with its symbol where that can be shown."""
    colour = COLOURS[state]
    return Text(f"{SYMBOLS[colour]} {WORDS[state]}" if symbols else WORDS[state], style=colour)


def decoded(value: Value) -> Any:
    """What a value holds; what was not written as base64 of JSON is shown as it is stored."""
    if not value.data:
        return None
    try:
        return msgspec.json.decode(base64.b64decode(value.data, validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return {"undecoded": value.data}


def call_of(record: PromiseRecord) -> Call | None:
    """The call that a promise stands for, if it does."""
    if tag.TARGET not in record.tags:
        return None
    try:
        return msgspec.convert(decoded(record.param), Call)
    except msgspec.ValidationError:
        return None


def failure_text(record: PromiseRecord) -> str | None:
    """What a rejected promise was rejected with, on one line."""
    match decoded(record.value):
        case None:
            return None
        case {"__type": "error" | "aggregate_error", "message": message, **rest}:
            name = rest.get("name")
            text = f"{name}: {message}" if name else str(message)
            return _shortened(text.partition("\n")[0])
        case value:
            return _shortened(msgspec.json.encode(value).decode())


def promise_document(record: PromiseRecord) -> dict[str, Any]:
    """A promise for programs: values decoded, instants in epoch ms."""
    document: dict[str, Any] = {
        "id": record.id,
        "state": record.state,
        "param": decoded(record.param),
        "value": decoded(record.value),
        "tags": dict(record.tags),
        "timeout_at_ms": record.timeout_at_ms,
        "created_at_ms": record.created_at_ms,
        "settled_at_ms": record.settled_at_ms,
    }
    for name, value in (("param_headers", record.param), ("value_headers", record.value)):
        if value.headers:
            document[name] = dict(value.headers)
    return document


def promise_lines(record: PromiseRecord, now_ms: int, remark: str = "") -> Iterator[Text]:
    """A promise for people.

    Args:
        record: the promise.
        now_ms: by the clock of this machine.
        remark: what the command has to say about it.
    """
    head = Text.assemble(
        (plain(record.id), "bold"), "  ", state_of(record.state, symbols=has_symbols())
    )
    yield head.append(f" ({remark})" if remark else "")
    call = call_of(record)
    param = decoded(record.param)
    if call is not None:
        yield field("call", call_text(call))
        yield field("target", target_text(record.tags[tag.TARGET]))
    elif param is not None:
        yield field("param", _value_text(param))
    if record.state not in ("pending", "resolved") and (reason := failure_text(record)):
        yield field("error", reason)
    elif (value := decoded(record.value)) is not None:
        yield field("value", _value_text(value))
    if user := (record.param.headers or {}).get(tag.USER_HEADER):
        yield field("by", user)
    if user := (record.value.headers or {}).get(tag.USER_HEADER):
        yield field("settled by", user)
    own_tags = {k: v for k, v in record.tags.items() if not k.startswith(tag.RESERVED_PREFIX)}
    if own_tags:
        yield field("tags", "  ".join(f"{key}={text}" for key, text in own_tags.items()))
    yield field("created", instant_text(record.created_at_ms, now_ms))
    if record.settled_at_ms is None:
        yield field("deadline", instant_text(record.timeout_at_ms, now_ms))
    else:
        took = format_duration(record.settled_at_ms - record.created_at_ms)
        yield field("settled", f"{_clock_text(record.settled_at_ms)}  (after {took})")


def page_lines(page: Sequence[PromiseRecord], cursor: str | None, now_ms: int) -> Iterator[Text]:
    """Promises, a line for each, and how to go on."""
    yield from table_lines(HEADS, [_row(record, now_ms) for record in page])
    yield from end_of_page(len(page), cursor)


def end_of_page(count: int, cursor: str | None) -> Iterator[Text]:
    """What follows the lines of a search: that there are none, and how to go on."""
    if not count:
        yield Text("none found")
    if cursor is not None:
        yield Text(plain(f"go on with --cursor {cursor}"), style="dim")


def created_remark(request: PromiseCreate, record: PromiseRecord) -> str:
    """Say whether a promise was made by this request; an answer does not tell.

    The deadline does: it counts from the millisecond in which the command was given. That also
    holds when the request was sent twice, because the connection broke.
    """
    is_same = record.param == request.param
    if is_same and record.timeout_at_ms == request.timeout_at_ms:
        return CREATED
    return EXISTED if is_same else f"{EXISTED}, created with other data"


def field(label: str, text: str, label_chars: int = LABEL_CHARS) -> Text:
    """A line with a name and what stands for it, in a column of its own."""
    return Text.assemble("  ", (label.ljust(label_chars), "dim"), "  ", plain(text))


def _row(record: PromiseRecord, now_ms: int) -> tuple[Text | str, ...]:
    call = call_of(record)
    target = record.tags.get(tag.TARGET)
    return (
        record.id,
        state_of(record.state, symbols=False),
        format_duration(now_ms - record.created_at_ms),
        "" if target is None else target_text(target).removeprefix("group "),
        "" if call is None else call.func,
    )


def call_text(call: Call) -> str:
    """A call as it is written in Python."""
    arguments = [_value_text(argument) for argument in call.args]
    arguments += [f"{name}={_value_text(argument)}" for name, argument in call.kwargs.items()]
    version = "" if call.version == 1 else f"  version {call.version}"
    return f"{call.func}({', '.join(arguments)}){version}"


def target_text(address: str) -> str:
    """Who runs a call."""
    try:
        target = addresses.parse(address)
    except addresses.AddressError:
        return address
    return f"group {target.group}" if target.pid is None else str(target)


def _value_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def instant_text(at_ms: int, now_ms: int) -> str:
    """An instant, and how far away it is."""
    distance = format_duration(abs(at_ms - now_ms))
    return f"{_clock_text(at_ms)}  ({f'in {distance}' if at_ms > now_ms else f'{distance} ago'})"


def _clock_text(at_ms: int) -> str:
    """An instant in the time zone of this machine."""
    try:
        instant = datetime.fromtimestamp(at_ms / 1000, tz=UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms after 1970"
    return instant.strftime("%Y-%m-%d %H:%M:%S")


def _shortened(text: str) -> str:
    return text if len(text) <= SUMMARY_CHARS_MAX else f"{text[: SUMMARY_CHARS_MAX - 1]}…"
