"""Which part of a value cannot be stored."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

import msgspec
from msgspec import Struct

DEPTH_MAX = 100
PARTS_MAX = 10_000


class Culprit(Struct, frozen=True):
    """The innermost part of a value that cannot be stored.

    Attributes:
        path: where it is, from `$`, the value itself.
        value: what is there.
        reason: why it cannot be stored.
    """

    path: str
    value: Any
    reason: str


def find_culprit(value: Any, write: Callable[[Any], object]) -> Culprit:
    """Look for the part of a value that `write` fails for.

    Args:
        value: something that it fails for.
        write: stores a value, or raises.
    """
    path, reason, around = "$", _reason(value, write) or "", [value]
    for _ in range(DEPTH_MAX):
        for step, part in _parts(value):
            found = _reason(part, write)
            if any(part is outer for outer in around):
                return Culprit(path, value, f"it contains itself, at {path}{step}")
            if found is not None:
                path, value, reason = path + step, part, found
                around.append(value)
                break
        else:
            break
    return Culprit(path, value, reason)


def _reason(value: Any, write: Callable[[Any], object]) -> str | None:
    try:
        write(value)
    except RecursionError:
        return "it is nested too deeply, or contains itself"
    except Exception as error:  # noqa: BLE001  # a class of the user's runs code of its own
        return str(error)
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value consists of, each part with the step that leads to it."""
    for count, part in enumerate(_all_parts(value)):
        if count == PARTS_MAX:
            return
        yield part


def _all_parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]  # of any type
            yield (f".{key}" if isinstance(key, str) else f"[{key!r}]"), item
    elif isinstance(value, list | tuple | Set):
        for index, item in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of any type
            yield f"[{index}]", item
    else:
        for name in _field_names(value):
            yield f".{name}", getattr(value, name)


def _field_names(value: Any) -> Iterator[str]:
    if isinstance(value, type):
        return
    if dataclasses.is_dataclass(value):
        yield from (field.name for field in dataclasses.fields(value))
    elif isinstance(value, Struct):
        yield from (field.name for field in msgspec.structs.fields(value))
    else:
        yield from (field.name for field in getattr(value, "__attrs_attrs__", ()))
