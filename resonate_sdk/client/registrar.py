"""The decorator `@resonate.register(...)`."""

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from resonate_sdk.functions.function import Function

P = ParamSpec("P")
T = TypeVar("T")


class Registrar:
    """Registers the function it is called with."""

    def __init__(self, add: Callable[[Callable[..., Any]], Any]) -> None:
        """Made by `Resonate.register`.

        Args:
            add: registers a function, as its caller wants it.
        """
        self._add = add

    @overload
    def __call__(
        self, func: Callable[Concatenate[Any, P], Generator[Any, Any, T]], /
    ) -> Function[P, T]: ...
    @overload
    def __call__(
        self, func: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], /
    ) -> Function[P, T]: ...
    @overload
    def __call__(self, func: Callable[Concatenate[Any, P], T], /) -> Function[P, T]: ...
    def __call__(self, func: Callable[..., Any], /) -> Any:
        """Register a function."""
        return self._add(func)
