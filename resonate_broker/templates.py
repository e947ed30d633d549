"""Templates of promise ids, keys and priorities: text with places that an event fills in.

`{{.message_id}}` and `{{.correlation_id}}` are properties of the message, `{{.headers.NAME}}` is one of
its headers, `{{.body}}` the body, if that is one value, `{{.body.order.id}}` a field of it and
`{{.body.items.0}}` an item of a list. `{{.trigger}}` is the id of the trigger. Nothing else is special.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PROPERTIES = ("message_id", "correlation_id")
_TRIGGER = "trigger"
_KNOWN = (
    "{{.message_id}}, {{.correlation_id}}, {{.headers.NAME}}, {{.body}}, {{.body.FIELD}} and "
    "{{.trigger}}"
)


class MissingError(ValueError):
    """An event does not have what a template needs; the message says what."""


class Event(Struct, frozen=True, kw_only=True):
    """What a template can tell events apart by."""

    trigger: str
    message_id: str | None
    correlation_id: str | None
    headers: Mapping[str, Any]
    body: bytes


def is_constant(template: str) -> bool:
    """Whether it means the same for all events."""
    return _PLACE.search(template) is None


def fault(template: str, *, is_constant_allowed: bool = False) -> str | None:
    """Say what is wrong with a template, in one sentence, or None.

    Args:
        template: the template.
        is_constant_allowed: whether it may mean the same for all events of a trigger.
    """
    left_over = _PLACE.sub("", template)
    if "{{" in left_over or "}}" in left_over:
        return f"the template {template!r} has a {'{{'!r} or {'}}'!r} without the other one"
    places = [match[1] for match in _PLACE.finditer(template)]
    for place in places:
        if _path(place) is None:
            return f"the template {template!r} has {'{{' + place + '}}'!r}: known are {_KNOWN}"
    if not is_constant_allowed and all(place.strip() == f".{_TRIGGER}" for place in places):
        return (
            f"the template {template!r} names nothing of the event, so that all events would be the "
            "same execution: use {{.message_id}}, {{.headers.NAME}} or {{.body.FIELD}}"
        )
    return None


def render(template: str, event: Event, purpose: str = "the id of its promise") -> str:
    """Fill in a template that has no fault.

    Args:
        template: the template.
        event: what fills it in.
        purpose: what comes of it, in words.

    Raises:
        MissingError: the event does not have what the template needs; the message names it.
    """
    return "".join(_parts(template, event, purpose))


def _parts(template: str, event: Event, purpose: str) -> Iterator[str]:
    end = 0
    for match in _PLACE.finditer(template):
        yield template[end : match.start()]
        end = match.end()
        path = _path(match[1])
        assert path is not None, "the template was checked when it was stored"
        yield _text(match[0], _find(path, event), purpose)
    yield template[end:]


def _path(place: str) -> Sequence[str] | None:
    """Where a place points to; None if that is nowhere."""
    dot, name = place.strip()[:1], place.strip()[1:]
    if dot != ".":
        return None
    if name in (*_PROPERTIES, _TRIGGER, "body"):
        return (name,)
    root, _, rest = name.partition(".")
    if root == "headers" and rest:
        return (root, rest)  # a header may have dots in its name
    if root == "body" and all(rest.split(".")):
        return (root, *rest.split("."))
    return None


def _find(path: Sequence[str], event: Event) -> Any:
    match path:
        case ["body", *fields]:
            return _field(_body(event), fields)
        case ["headers", name]:
            return event.headers.get(name)
        case [name, *_]:
            return getattr(event, name)
        case _:
            raise AssertionError("a path names something")


def _body(event: Event) -> Any:
    try:
        return msgspec.json.decode(event.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MissingError(f"the body of the event is not JSON: {error}") from error


def _field(found: Any, fields: Sequence[str]) -> Any:
    for field in fields:
        match found:
            case {**mapping}:
                found = mapping.get(field)
            case [*items] if field.isdecimal() and int(field) < len(items):
                found = items[int(field)]
            case _:
                return None
    return found


def _text(place: str, found: Any, purpose: str) -> str:
    """What stands for a value: two values that differ must not look the same."""
    match found:
        case None | "":
            raise MissingError(f"the event has no {place}, which {purpose} needs")
        case str():
            return found
        case int() if not isinstance(found, bool):
            return str(found)
        case _:
            kind = type(found).__name__
            raise MissingError(f"{place} of the event is neither text nor a whole number: {kind}")
