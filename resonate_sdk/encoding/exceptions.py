"""Which classes of exceptions may be rebuilt from data, and how."""

import builtins
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from msgspec import Struct

E = TypeVar("E", bound=type[Exception])

_MARK = "_resonate_may_be_rebuilt"


def exception(cls: E) -> E:
    """Mark a class of exceptions as one that data may name: `@resonate_sdk.exception`.

    It matters where `Codec(rebuilds_imported=False)` rebuilds no other classes of the program.
    """
    setattr(cls, _MARK, True)
    return cls


class ExceptionAdapter(Struct, frozen=True):
    """How exceptions of one class are stored.

    Attributes:
        encode: makes data of one; None: its attributes are its data.
        decode: makes one of that data; None: it is made without running code of its class.
    """

    cls: type[Exception]
    encode: Callable[[Any], Mapping[str, Any]] | None = None
    decode: Callable[[dict[str, Any]], Exception] | None = None


class Exceptions:
    """The classes that a codec rebuilds."""

    def __init__(self, *, rebuilds_imported: bool) -> None:
        """Know the classes of the language.

        Args:
            rebuilds_imported: whether classes that were neither registered nor marked are looked
                for in modules that are imported already.
        """
        self._rebuilds_imported = rebuilds_imported
        self._by_name: dict[tuple[str, str], ExceptionAdapter] = {}

    def add(self, adapter: ExceptionAdapter) -> None:
        """Register a class, also one that is not found under its name."""
        self._by_name[adapter.cls.__module__, adapter.cls.__qualname__] = adapter

    def of(self, cls: type[BaseException]) -> ExceptionAdapter | None:
        """What is registered for a class."""
        return self._by_name.get((cls.__module__, cls.__qualname__))

    def find(self, module: str | None, name: str | None) -> ExceptionAdapter | None:
        """Find the class that data names; None if there is none, or it may not be rebuilt.

        Nothing runs because data says so. That is why names are looked up in the dictionaries:
        `getattr` would run a module's own `__getattr__`, which may import.
        """
        module, name = module or builtins.__name__, name or ""
        registered = self._by_name.get((module, name))
        if registered is not None:
            return registered
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = vars(found).get(part) if isinstance(found, ModuleType | type) else None
        if not isinstance(found, type) or not issubclass(found, Exception):
            return None
        is_allowed = (
            self._rebuilds_imported
            or found.__module__ == builtins.__name__
            or found.__module__ == "resonate_sdk.errors"
            or _MARK in vars(found)
        )
        return ExceptionAdapter(found) if is_allowed else None
