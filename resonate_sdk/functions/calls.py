"""The ways to call a function from inside of an execution, with their types."""

import logging
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from resonate_sdk.functions.commands import Commands
from resonate_sdk.functions.function import Function
from resonate_sdk.functions.ops import Call, Invocation

if TYPE_CHECKING:  # for annotations: a context is one of these
    from resonate_sdk.functions.context import Context

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class Calls:
    """What a context does with a function."""

    _commands: Commands

    @overload
    def run(self, func: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Call[T]: ...
    @overload
    def run(
        self,
        func: Callable[Concatenate["Context", P], Generator[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Call[T]: ...
    @overload
    def run(
        self,
        func: Callable[Concatenate["Context", P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Call[T]: ...
    @overload
    def run(
        self, func: Callable[Concatenate["Context", P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Call[T]: ...
    @overload
    def run(self, func: str, /, *args: Any, **kwargs: Any) -> Call[Any]: ...
    def run(self, func: Any, /, *args: Any, **kwargs: Any) -> Call[Any]:
        """Run a function here, in this execution, and wait for its result.

        Args:
            func: a function, registered or not, or the name of a registered one.
            args: its arguments behind the context; any Python objects.
            kwargs: likewise.

        Raises:
            FunctionNotFoundError: no function of that name is registered here.
            UsageError: the arguments do not fit.
        """
        return self._commands.made(Call(*self._commands.local("run", func, args, kwargs)))

    @overload
    def begin_run(
        self, func: Function[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Invocation[T]: ...
    @overload
    def begin_run(
        self,
        func: Callable[Concatenate["Context", P], Generator[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Invocation[T]: ...
    @overload
    def begin_run(
        self,
        func: Callable[Concatenate["Context", P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Invocation[T]: ...
    @overload
    def begin_run(
        self, func: Callable[Concatenate["Context", P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Invocation[T]: ...
    @overload
    def begin_run(self, func: str, /, *args: Any, **kwargs: Any) -> Invocation[Any]: ...
    def begin_run(self, func: Any, /, *args: Any, **kwargs: Any) -> Invocation[Any]:
        """Start a function here and go on; yield its promise when the result is needed.

        Args and errors are those of `run`.
        """
        return self._commands.made(Invocation(*self._commands.local("run", func, args, kwargs)))

    @overload
    def rpc(self, func: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Call[T]: ...
    @overload
    def rpc(
        self,
        func: Callable[Concatenate["Context", P], Generator[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Call[T]: ...
    @overload
    def rpc(
        self,
        func: Callable[Concatenate["Context", P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Call[T]: ...
    @overload
    def rpc(
        self, func: Callable[Concatenate["Context", P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Call[T]: ...
    @overload
    def rpc(self, func: str, /, *args: Any, **kwargs: Any) -> Call[Any]: ...
    def rpc(self, func: Any, /, *args: Any, **kwargs: Any) -> Call[Any]:
        """Run a function in any worker of its target's group, and wait for its result.

        Args:
            func: a function registered here, or the name of one that is registered there.
            args: its arguments behind the context; storable as JSON.
            kwargs: likewise.

        Raises:
            FunctionNotFoundError: the function object is not registered here.
            UsageError: the arguments do not fit.
        """
        return self._commands.made(Call(*self._commands.remote("rpc", func, args, kwargs)))

    @overload
    def begin_rpc(
        self, func: Function[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Invocation[T]: ...
    @overload
    def begin_rpc(
        self,
        func: Callable[Concatenate["Context", P], Generator[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Invocation[T]: ...
    @overload
    def begin_rpc(
        self,
        func: Callable[Concatenate["Context", P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Invocation[T]: ...
    @overload
    def begin_rpc(
        self, func: Callable[Concatenate["Context", P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Invocation[T]: ...
    @overload
    def begin_rpc(self, func: str, /, *args: Any, **kwargs: Any) -> Invocation[Any]: ...
    def begin_rpc(self, func: Any, /, *args: Any, **kwargs: Any) -> Invocation[Any]:
        """Start a function in any worker of its target's group and go on.

        Args and errors are those of `rpc`.
        """
        return self._commands.made(Invocation(*self._commands.remote("rpc", func, args, kwargs)))

    @overload
    def detached(
        self, func: Function[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Invocation[T]: ...
    @overload
    def detached(
        self,
        func: Callable[Concatenate["Context", P], Generator[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Invocation[T]: ...
    @overload
    def detached(
        self,
        func: Callable[Concatenate["Context", P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Invocation[T]: ...
    @overload
    def detached(
        self, func: Callable[Concatenate["Context", P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Invocation[T]: ...
    @overload
    def detached(self, func: str, /, *args: Any, **kwargs: Any) -> Invocation[Any]: ...
    def detached(self, func: Any, /, *args: Any, **kwargs: Any) -> Invocation[Any]:
        """Start a function that lives on its own: this execution does not wait for its end.

        Args and errors are those of `rpc`; its deadline is its own, not clamped to the caller's.
        """
        if isinstance(func, str) and args and callable(args[0]):
            logger.warning(
                "ctx.detached(id, function, ...) is the old form, write "
                "ctx.detached(function, ...).options(id=...) promise_id=%s",
                func,
            )
            return self.detached(args[0], *args[1:], **kwargs).options(id=func)
        return self._commands.made(
            Invocation(*self._commands.remote("detached", func, args, kwargs))
        )

    lfc = run
    lfi = begin_run
    rfc = rpc
    rfi = begin_rpc
