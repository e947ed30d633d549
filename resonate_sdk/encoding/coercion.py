"""Plain data into annotated types, for annotations that msgspec refuses as a whole.

Those are unions of several classes, enums whose values are of several types, and whatever contains
one of these. They are taken apart until what is left is simple.
"""

import dataclasses
import types
import typing
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Set
from enum import Enum
from typing import Any, Union

from msgspec import Struct, structs

from resonate_sdk.errors import DecodeError

Convert = Callable[[Any, Any, str], Any]
"""Converts a part: the value, its annotation, and where it is."""

_ARRAYS: Mapping[Any, Callable[[Any], Any]] = {
    list: list,
    Sequence: list,
    set: set,
    Set: set,
    frozenset: frozenset,
    deque: deque,
}
_OBJECTS = (dict, Mapping)
KEY_IN = "key in"


class UnknownTypeError(Exception):
    """Nothing is known of the annotation: the plain value is all there is."""


class Field(typing.NamedTuple):
    """A field of a class.

    Attributes:
        key: its name in the data.
        name: its name in the constructor.
    """

    key: str
    name: str
    annotation: Any


def coerce_parts(
    value: Any, annotation: Any, path: str, convert: Convert, plain: Callable[[Any], Any]
) -> Any:
    """Convert a value part by part.

    Args:
        value: plain data.
        annotation: one that msgspec refuses.
        path: where the value is, from `$`.
        convert: converts a part, calling this for what it cannot do at once.
        plain: makes plain data of a converted value again.

    Raises:
        DecodeError: it is not of that type.
        UnknownTypeError: there is no such way.
    """
    arguments = typing.get_args(annotation)
    kind: Any = typing.get_origin(annotation) or annotation
    if kind is typing.Annotated:
        return convert(value, arguments[0], path)
    if kind in (Union, types.UnionType):
        return _one_of(value, arguments, path, convert, plain)
    if kind is tuple and arguments:
        return tuple(_tuple(value, arguments, path, convert))
    if kind in _ARRAYS and arguments:
        items = enumerate(_array(value, path))
        return _ARRAYS[kind](convert(item, arguments[0], f"{path}[{n}]") for n, item in items)
    if kind in _OBJECTS and arguments:
        return {
            _key(key, arguments[0], path, convert): convert(item, arguments[1], f"{path}.{key}")
            for key, item in _object(value, path).items()
        }
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(value, kind, path, plain)
    fields = _fields(kind)
    if fields:
        make: Any = kind  # pyright: ignore[reportUnknownVariableType]  # of any type
        return _instance(value, make, fields, path, convert)
    named = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)
    if named is None:
        raise UnknownTypeError
    return convert(value, named, path)


def _one_of(
    value: Any,
    members: Sequence[Any],
    path: str,
    convert: Convert,
    plain: Callable[[Any], Any],
) -> Any:
    """The member of a union that gives the same data when it is written again, or the first."""
    fitting: list[Any] = []
    if value is None and types.NoneType in members:
        return None
    for member in members:
        if member is types.NoneType:
            continue
        try:
            converted = convert(value, member, path)
        except DecodeError:
            continue
        if _is_written_alike(plain(converted), plain(value)):
            return converted
        fitting.append(converted)
    if fitting:
        return fitting[0]
    names = " | ".join(getattr(member, "__name__", str(member)) for member in members)
    raise DecodeError(f"Expected `{names}`, got {value!r:.200} - at `{path}`", path=path)


def _is_written_alike(written: Any, value: Any) -> bool:
    return written == value and type(written) is type(value)


def _tuple(value: Any, arguments: Sequence[Any], path: str, convert: Convert) -> list[Any]:
    items = _array(value, path)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = [arguments[0]] * len(items)
    if len(items) != len(arguments):
        raise DecodeError(
            f"Expected `array` of length {len(arguments)}, got {len(items)} - at `{path}`",
            path=path,
        )
    pairs = enumerate(zip(items, arguments, strict=True))
    return [convert(item, annotation, f"{path}[{n}]") for n, (item, annotation) in pairs]


def _array(value: Any, path: str) -> Sequence[Any]:
    if isinstance(value, list | tuple):
        return value  # pyright: ignore[reportUnknownVariableType]  # of any type
    raise DecodeError(f"Expected `array`, got `{type(value).__name__}` - at `{path}`", path=path)


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value  # pyright: ignore[reportUnknownVariableType]  # of any type
    raise DecodeError(f"Expected `object`, got `{type(value).__name__}` - at `{path}`", path=path)


def _key(key: str, annotation: Any, path: str, convert: Convert) -> Any:
    if annotation in (int, float):  # keys are text; only in an object does msgspec read numbers
        return next(iter(convert({key: None}, dict[annotation, None], path)))
    return convert(key, annotation, f"{KEY_IN} {path}")


def _member(value: Any, kind: type[Enum], path: str, plain: Callable[[Any], Any]) -> Enum:
    for member in kind:
        written = plain(member.value)
        if _is_written_alike(written, value) or (path.startswith(KEY_IN) and str(written) == value):
            return member
    raise DecodeError(f"Invalid enum value {value!r:.200} - at `{path}`", path=path)


def _fields(kind: Any) -> Sequence[Field]:
    """The fields of a class, none if it is not made of fields."""
    if not isinstance(kind, type):
        return ()
    cls: Any = kind
    if issubclass(cls, Struct):
        return [Field(f.encode_name, f.name, f.type) for f in structs.fields(cls)]
    attributes: Any = getattr(cls, "__attrs_attrs__", None)
    if attributes is None and not dataclasses.is_dataclass(cls):
        return ()
    hints = typing.get_type_hints(cls)
    if attributes is not None:
        return [Field(a.name, a.alias, hints.get(a.name, a.type)) for a in attributes if a.init]
    return [
        Field(f.name, f.name, hints.get(f.name, Any)) for f in dataclasses.fields(cls) if f.init
    ]


def _instance(
    value: Any, kind: Callable[..., Any], fields: Sequence[Field], path: str, convert: Convert
) -> Any:
    data = _object(value, path)
    given = {
        field.name: convert(data[field.key], field.annotation, f"{path}.{field.key}")
        for field in fields
        if field.key in data
    }
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:  # a field is missing, or the class refuses it
        raise DecodeError(f"{error} - at `{path}`", path=path) from error
