"""What is wrong with a request, in one sentence that names the field and the value."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

SHOWN_CHARS_MAX = 100
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what a decoder raises

_LOCATED = re.compile(r"(?s)(?P<what>.*) - at `(?P<is_key>key in )?\$(?P<path>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>\w+)`")
_STEP = re.compile(r"\.(?P<key>\w+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")
_SURROGATE = re.compile("[\ud800-\udfff]")


def explain(error: Exception, raw: bytes) -> str:
    """Put what a decoder says about a document into words.

    Args:
        error: what it raised.
        raw: the document.
    """
    located = _LOCATED.fullmatch(str(error))
    what = _printable(located["what"] if located else str(error))
    place, value = _look_up(raw, located["path"] if located else "")
    missing = _MISSING.fullmatch(what)
    if missing is not None:
        return f"{_join(place, missing['field'])} is missing"
    if not place:
        return what
    if located is not None and located["is_key"]:
        return f"a key in {place}: {what}"
    if isinstance(value, Mapping):
        return f"{place}: {what}"  # the sentence says which field of it, and what it holds
    return f"{place}: {what}, found {shown(value)}"


def find_surrogate(raw: bytes) -> str | None:
    """Name the string of a document that is half a character; None if that is not its trouble."""
    try:
        document = json.loads(raw)
    except (*UNREADABLE, ValueError):
        return None
    return _find_surrogate(document)


def loose(raw: bytes) -> Any:
    """Read a document as far as it can be read; None if it cannot."""
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        pass
    try:
        return json.loads(raw)
    except (*UNREADABLE, ValueError):
        return None


def shown(value: object) -> str:
    """A value in one short line of ASCII."""
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"


def _printable(text: str) -> str:
    """Text without control characters: the decoder quotes what it has found as it is."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _look_up(raw: bytes, path: str) -> tuple[str, Any]:
    """Follow a path; return it as a reader would write it, with what is found there."""
    value, place = loose(raw), ""
    for step in _STEP.finditer(path):
        key: Any = step["key"]
        if step["index"] is not None:
            key = int(step["index"])
        elif step["any"] is not None:
            key = _odd_key(value)
        place = _join(place, key)
        try:
            value = value[key]
        except (LookupError, TypeError):
            return place, None
    return place, value


def _odd_key(value: Any) -> Any:
    """The key of the first value of a map of strings that is none; the decoder does not say."""
    try:
        return next((key for key, found in value.items() if not isinstance(found, str)), "")
    except AttributeError:
        return 0


def _find_surrogate(document: Any) -> str | None:
    """Go through a document without recursion: it may be as deep as a decoder reads."""
    if isinstance(document, str):
        return _half_character("it", document)
    levels = [("", _children(document))]
    while levels:
        place, children = levels[-1]
        for key, child in children:
            if isinstance(key, str) and (
                sentence := _half_character(f"a key in {place or 'it'}", key)
            ):
                return sentence
            if isinstance(child, str) and (sentence := _half_character(_join(place, key), child)):
                return sentence
            if isinstance(child, dict | list):
                levels.append((_join(place, key)[:SHOWN_CHARS_MAX], _children(child)))
                break
        else:
            levels.pop()
    return None


def _half_character(place: str, text: str) -> str | None:
    found = _SURROGATE.search(text)
    return None if found is None else f"{place} holds half a character, {found[0]!a}"


def _children(value: Any) -> Iterator[tuple[str | int, Any]]:
    match value:
        case {**fields}:
            return iter(fields.items())
        case [*items]:
            return enumerate(items)
        case _:
            return iter(())


def _join(place: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{place}[{key}]"
    if not re.fullmatch(r"\w+", key):
        return f"{place}[{key[:40]!a}]"
    return f"{place}.{key}" if place else key
