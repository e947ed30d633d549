"""The four ways to call a function from outside of any execution, with their types."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from resonate_sdk.client.handle import Handle, refuse_blocking
from resonate_sdk.errors import FunctionNotFoundError
from resonate_sdk.functions.function import Function, given_to
from resonate_sdk.functions.registry import Registered
from resonate_sdk.options import Options

P = ParamSpec("P")
T = TypeVar("T")


class Calls(ABC):
    """What a client does with a function and an id."""

    @overload
    def begin_run(
        self, id: str, /, func: Function[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Handle[T]: ...
    @overload
    def begin_run(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Generator[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Handle[T]: ...
    @overload
    def begin_run(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Handle[T]: ...
    @overload
    def begin_run(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Handle[T]: ...
    @overload
    def begin_run(self, id: str, /, func: str, *args: Any, **kwargs: Any) -> Handle[Any]: ...
    def begin_run(self, id: str, /, func: Any, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Run a function in this process as the execution `id`; the handle waits for its result.

        An id that exists is not run again. If this process dies, any worker of the target's
        group goes on, by default of the own group.

        Args:
            id: the name of the execution; chosen by the program, it makes the call idempotent.
            func: a function registered here, or its name.
            args: its arguments; storable as JSON.
            kwargs: likewise.

        Raises:
            FunctionNotFoundError: it is not registered here.
            UsageError: the arguments do not fit.
        """
        return self.start_here(id, self._registered(func), args, kwargs, given_to(func))

    @overload
    def run(self, id: str, /, func: Function[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def run(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Generator[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    def run(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    def run(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    def run(self, id: str, /, func: str, *args: Any, **kwargs: Any) -> Any: ...
    def run(self, id: str, /, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a function in this process as the execution `id`, and wait for its result.

        Args and errors are those of `begin_run`; whatever the function raises is raised here.

        Example:
            >>> resonate = Resonate.local()
            >>> @resonate.register
            ... def double(ctx, n):
            ...     return 2 * n
            >>> resonate.run("double-21", double, 21)
            42
            >>> resonate.stop()
        """
        refuse_blocking(id)
        return self.begin_run(id, func, *args, **kwargs).result()

    @overload
    def begin_rpc(
        self, id: str, /, func: Function[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Handle[T]: ...
    @overload
    def begin_rpc(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Generator[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Handle[T]: ...
    @overload
    def begin_rpc(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Handle[T]: ...
    @overload
    def begin_rpc(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Handle[T]: ...
    @overload
    def begin_rpc(self, id: str, /, func: str, *args: Any, **kwargs: Any) -> Handle[Any]: ...
    def begin_rpc(self, id: str, /, func: Any, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Run a function in any worker of the target's group; the handle waits for its result.

        Args:
            id: the name of the execution; chosen by the program, it makes the call idempotent.
            func: the name of a function registered there, or a function registered here.
            args: its arguments; storable as JSON.
            kwargs: likewise.

        Raises:
            FunctionNotFoundError: a function object is not registered here.
            EncodeError: an argument cannot be stored.
        """
        if isinstance(func, str):
            return self._start_by_name(id, func, args, kwargs)
        return self.start_at_target(id, self._registered(func), args, kwargs, given_to(func))

    @overload
    def rpc(self, id: str, /, func: Function[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def rpc(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Generator[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    def rpc(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    def rpc(
        self,
        id: str,
        /,
        func: Callable[Concatenate[Any, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    def rpc(self, id: str, /, func: str, *args: Any, **kwargs: Any) -> Any: ...
    def rpc(self, id: str, /, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a function in any worker of the target's group, and wait for its result.

        Args and errors are those of `begin_rpc`; whatever the function raises is raised here.

        Example:
            >>> server = LocalServer()
            >>> shop = Resonate.local(server=server, group="shop")
            >>> @shop.register
            ... def price(ctx, item):
            ...     return {"tea": 3}[item]
            >>> resonate = Resonate.local(server=server)
            >>> resonate.options(target="shop").rpc("price-of-tea", "price", "tea")
            3
            >>> resonate.stop(), shop.stop(), server.close()
            (None, None, None)
        """
        refuse_blocking(id)
        return self.begin_rpc(id, func, *args, **kwargs).result()

    def _registered(self, func: Any) -> Registered:
        if isinstance(func, str):
            return self._find(func)
        registered = self._find_func(func)
        if registered is None:
            name = getattr(func, "__name__", repr(func))
            raise FunctionNotFoundError(
                f"function {name} is not registered here: put @resonate.register above it"
            )
        return registered

    @abstractmethod
    def start_here(
        self, id: str, registered: Registered, args: Any, kwargs: Any, given: Options
    ) -> Handle[Any]:
        """Run a registered function in this process."""

    @abstractmethod
    def start_at_target(
        self, id: str, registered: Registered, args: Any, kwargs: Any, given: Options
    ) -> Handle[Any]:
        """Run a registered function in any process of its target's group."""

    @abstractmethod
    def _find(self, name: str) -> Registered: ...

    @abstractmethod
    def _find_func(self, func: Any) -> Registered | None: ...

    @abstractmethod
    def _start_by_name(self, id: str, name: str, args: Any, kwargs: Any) -> Handle[Any]: ...
