"""Classes that are a dict, a list, a text or a number, and more: of `collections`, or a program's."""

import typing
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

_ARRAYS = (deque, list, set, frozenset, tuple)
_SCALARS = (str, int, float)
_MADE_OF_NOTHING = (dict, list, set, int, float, str, deque, Counter)


class Container(Struct, frozen=True):
    """How values of such a class come back.

    Attributes:
        annotation: of the plain data that they are stored as.
        make: makes one of that data.
    """

    annotation: Any
    make: Callable[[Any], Any]


def container(annotation: Any) -> Container | None:
    """What an annotation says of such a class; None if it means another one."""
    kind: Any = typing.get_origin(annotation) or annotation
    arguments: tuple[Any, ...] = typing.get_args(annotation)
    if _derives(kind, Counter):
        return Container(dict[arguments[0] if arguments else Any, int], kind)
    if _derives(kind, dict):
        plain: Any = dict[arguments[0], arguments[1]] if len(arguments) == 2 else dict
        filled = _derives(kind, defaultdict)
        return Container(plain, partial(kind, _filling(arguments[1:])) if filled else kind)
    if _derives(kind, *_ARRAYS):
        return Container(list[arguments[0]] if len(arguments) == 1 else list, kind)
    scalar = next((base for base in _SCALARS if _derives(kind, base)), None)
    return None if scalar is None else Container(scalar, kind)


def written(value: Any) -> Any:
    """The plain form of a value that is written like what it derives from.

    Raises:
        TypeError: it derives from nothing that JSON knows.
    """
    kind: Any = value.__class__
    if _derives(kind, str):
        return str.__str__(value)  # whatever its class makes of that
    if _derives(kind, int):
        return int.__int__(value)
    if _derives(kind, float):
        return float.__float__(value)
    if _derives(kind, deque):
        return [*value]
    raise TypeError


def _derives(kind: Any, *bases: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, bases)


def _filling(values: tuple[Any, ...]) -> Any:
    """What makes the value of a missing key: an empty one of the annotated type, if there is one."""
    factory: Any = typing.get_origin(values[0]) or values[0] if values else None
    return factory if factory in _MADE_OF_NOTHING else None
