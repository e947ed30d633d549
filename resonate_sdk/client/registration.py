"""The decorator `@resonate.register`, with its types."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from resonate_sdk.functions.function import Function
from resonate_sdk.options import Seconds, make_options
from resonate_sdk.retry import RetryPolicy

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


class Registration(ABC):
    """What makes functions durable."""

    @overload
    def register(
        self,
        func: Callable[Concatenate[Any, P], Generator[Any, Any, T]],
        /,
        *,
        name: str | None = None,
        version: int = 1,
        retry_policy: RetryPolicy | None = None,
        non_retryable_exceptions: tuple[type[Exception], ...] = (),
        timeout: Seconds | None = None,
        overlap: bool = True,
    ) -> Function[P, T]: ...
    @overload
    def register(
        self,
        func: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        /,
        *,
        name: str | None = None,
        version: int = 1,
        retry_policy: RetryPolicy | None = None,
        non_retryable_exceptions: tuple[type[Exception], ...] = (),
        timeout: Seconds | None = None,
        overlap: bool = True,
    ) -> Function[P, T]: ...
    @overload
    def register(
        self,
        func: Callable[Concatenate[Any, P], T],
        /,
        *,
        name: str | None = None,
        version: int = 1,
        retry_policy: RetryPolicy | None = None,
        non_retryable_exceptions: tuple[type[Exception], ...] = (),
        timeout: Seconds | None = None,
        overlap: bool = True,
    ) -> Function[P, T]: ...
    @overload
    def register(
        self,
        func: None = None,
        /,
        *,
        name: str | None = None,
        version: int = 1,
        retry_policy: RetryPolicy | None = None,
        non_retryable_exceptions: tuple[type[Exception], ...] = (),
        timeout: Seconds | None = None,
        overlap: bool = True,
    ) -> "Registrar": ...
    def register(
        self,
        func: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        version: int = 1,
        retry_policy: RetryPolicy | None = None,
        non_retryable_exceptions: tuple[type[Exception], ...] = (),
        timeout: Seconds | None = None,
        overlap: bool = True,
    ) -> Any:
        """Make a function durable: `@resonate.register`, `@resonate.register(...)`, or a call.

        Args:
            func: its first parameter is the context.
            name: what others call it by; by default its own name.
            version: executions keep the version that they began with.
            retry_policy: when a failed attempt is repeated.
            non_retryable_exceptions: exceptions after which none is.
            timeout: seconds until the deadline of its executions.
            overlap: whether it may start while its task is being acquired, which is part of
                running at least once: now and then another worker runs it as well. With False it
                starts only when nobody else holds the task.

        Raises:
            RegistrationError: the name and version are taken, or there is no name.
            UsageError: there is no parameter for the context.
        """
        given = make_options(
            timeout=timeout,
            retry_policy=retry_policy,
            non_retryable_exceptions=non_retryable_exceptions or None,
        )
        add = partial(self._add, name=name, version=version, options=given, overlap=overlap)
        return Registrar(add) if func is None else add(func)

    @abstractmethod
    def _add(self, func: Callable[..., Any], **how: Any) -> Any: ...
