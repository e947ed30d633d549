"""Types that JSON knows nothing of: how they are written, and how they come back."""

from collections.abc import Callable
from fractions import Fraction
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import PurePath
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, inspect

from resonate_sdk.encoding.containers import container, written
from resonate_sdk.errors import UsageError

CAN_BE_STORED = (
    "use plain types, dataclasses, msgspec, attrs or pydantic models, "
    "or teach the codec the type: codec.register(Type, encode=..., decode=...)"
)
_AS_TEXT = (
    PurePath,
    Fraction,
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ZoneInfo,
)


class FormlessError(TypeError):
    """A value has no stored form."""


class Adapter(Struct, frozen=True):
    """How values of one class are stored.

    Attributes:
        encode: makes something of it that can be stored.
        decode: makes the value of what was stored.
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


class Adapters:
    """What a codec knows beyond the types of JSON and of msgspec."""

    def __init__(self) -> None:
        """Know what the standard library has."""
        self._by_class: dict[type, Adapter] = dict.fromkeys(_AS_TEXT, Adapter(str, str))

    def add(self, cls: type, adapter: Adapter) -> None:
        """Learn a class; its subclasses are written in the same way.

        Raises:
            UsageError: it has a form already.
        """
        if not isinstance(inspect.type_info(cls), inspect.CustomType):
            raise UsageError(
                f"{cls.__qualname__} has a stored form already: register classes that are neither "
                "plain types nor dataclasses, enums, msgspec or attrs classes"
            )
        self._by_class[cls] = adapter

    def plain(self, value: Any) -> Any:
        """Make of a value something that can be written; called for what msgspec does not know.

        Raises:
            TypeError: nobody knows how.
        """
        adapter = self._of(type(value))
        if adapter is not None:
            return adapter.encode(value)
        dump = getattr(value, "model_dump", None)
        if callable(dump):  # pydantic, which need not be installed
            return dump(mode="json")
        try:
            return written(value)
        except TypeError:
            raise FormlessError(CAN_BE_STORED) from None

    def typed(self, type: Any, value: Any, convert: Callable[[Any, Any], Any]) -> Any:
        """Make a value of what was read; what nobody knows is left as it is, and may be refused.

        Args:
            type: an annotation that msgspec knows nothing of.
            value: plain data.
            convert: brings the parts into their types.
        """
        adapter = self._of(type)
        if adapter is not None:
            if adapter.decode is str:
                return type(msgspec.convert(value, str))
            return adapter.decode(value)
        validate = getattr(type, "model_validate", None)
        if validate is not None:  # pydantic
            return validate(value)
        found = container(type)
        return value if found is None else found.make(convert(value, found.annotation))

    def _of(self, cls: Any) -> Adapter | None:
        for base in getattr(cls, "__mro__", ()):
            adapter = self._by_class.get(base)
            if adapter is not None:
                return adapter
        return None
