"""The first argument of every durable function."""

import sys
from collections.abc import Callable, Coroutine, Generator, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from msgspec import Struct

from resonate_sdk.errors import FunctionNotFoundError, UsageError
from resonate_sdk.functions.callee import Callee, describe
from resonate_sdk.functions.function import Function
from resonate_sdk.functions.ops import Call, Command, CommandKind, Invocation
from resonate_sdk.functions.registry import Registered, Registry
from resonate_sdk.options import NO_OPTIONS, Options, Seconds, make_options, seconds
from resonate_sdk.retry import RetryPolicy

P = ParamSpec("P")
T = TypeVar("T")


class Info(Struct, frozen=True, kw_only=True):
    """What a durable function may know about its own execution.

    Attributes:
        attempt: 1 at the first attempt; counted anew after a crash of the process.
        timeout: the deadline, seconds since the epoch.
    """

    id: str
    parent_id: str
    origin_id: str
    branch_id: str
    func: str
    version: int
    attempt: int
    timeout: float
    tags: Mapping[str, str]
    idempotency_key: str | None = None


class Unused(Struct, frozen=True):
    """A command that has not been yielded yet, and where it was made."""

    command: Command
    file: str
    line: int


class Scope:
    """What all views of one context share: who it is, what it may use, how far it has counted."""

    __slots__ = (
        "children",
        "dependencies",
        "info",
        "is_closed",
        "prefix",
        "registry",
        "unused",
    )

    def __init__(
        self,
        info: Info,
        prefix: str,
        registry: Registry,
        dependencies: Mapping[str | type, Any],
    ) -> None:
        """Begin to count children at one.

        Args:
            info: about the execution.
            prefix: id of the very first root, after which detached executions are named.
            registry: functions by name.
            dependencies: what `get_dependency` finds.
        """
        self.info = info
        self.prefix = prefix
        self.unused: dict[str, Unused] = {}
        self.registry = registry
        self.dependencies = dependencies
        self.children = 0
        self.is_closed = False


class Context:
    """Calls made through it are durable: each is a promise, executed once to its end.

    The id of a call follows from its place: the n-th context method called in the execution `x`
    makes the promise `x.n`. So a function must call its context in the same order every time.
    """

    def __init__(self, scope: Scope, given: Options = NO_OPTIONS) -> None:
        """Made by the library, for one attempt at an execution."""
        self._scope = scope
        self._given = given

    @property
    def id(self) -> str:
        """The id of the promise that this execution will settle."""
        return self._scope.info.id

    @property
    def info(self) -> Info:
        """More about this execution."""
        return self._scope.info

    def options(
        self,
        *,
        timeout: Seconds | None = None,
        target: str | None = None,
        version: int | None = None,
        retry_policy: RetryPolicy | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> "Context":
        """A view whose calls begin with these options; it shares the count of calls."""
        given = make_options(
            timeout=timeout, target=target, version=version, retry_policy=retry_policy, tags=tags
        )
        return Context(self._scope, self._given.merged(given))

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
        return Call(*self._local("run", func, args, kwargs))

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
        return Invocation(*self._local("run", func, args, kwargs))

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
        return Call(*self._remote("rpc", func, args, kwargs))

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
        return Invocation(*self._remote("rpc", func, args, kwargs))

    @overload
    def detached(
        self, func: Function[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Invocation[T]: ...
    @overload
    def detached(
        self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Invocation[Any]: ...
    def detached(self, func: Any, /, *args: Any, **kwargs: Any) -> Invocation[Any]:
        """Start a function that lives on its own: this execution does not wait for its end.

        Args and errors are those of `rpc`; its deadline is its own, not clamped to the caller's.
        """
        return Invocation(*self._remote("detached", func, args, kwargs))

    lfc = run
    lfi = begin_run
    rfc = rpc
    rfi = begin_rpc

    def sleep(self, secs: Seconds | None = None, *, until: datetime | None = None) -> Call[None]:
        """Sleep durably: the time goes on while no process is there, and a replay sleeps no more.

        Args:
            secs: seconds or a timedelta.
            until: an aware instant, instead of `secs`.

        Raises:
            UsageError: not exactly one of both is given, or the instant has no time zone.
            ValueError: the duration is negative.
        """
        if (secs is None) == (until is None):
            raise UsageError("ctx.sleep takes either seconds or until=")
        if until is not None:
            if until.tzinfo is None:
                raise UsageError("ctx.sleep(until=...) needs an instant with a time zone")
            return Call(self._command("sleep", until=until.timestamp()), self._given)
        assert secs is not None, "one of both is given"
        return Call(self._command("sleep", seconds=seconds(secs)), self._given)

    def promise(
        self,
        *,
        id: str | None = None,
        type: Any = None,
        timeout: Seconds | None = None,
        data: Any = None,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Invocation[Any]:
        """Create a promise that somebody outside settles, or attach to the one of that id.

        Args:
            id: verbatim; without it, the promise is a child of this execution.
            type: what its value is decoded into.
            timeout: seconds until its deadline; never later than this execution's own.
            data: what it tells about itself.
            tags: further tags.
            idempotency_key: informative; the id makes it idempotent.
        """
        given = make_options(id=id, tags=tags, type=type, idempotency_key=idempotency_key)
        until_deadline = None if timeout is None else seconds(timeout)
        command = self._command("promise", seconds=until_deadline, data=data)
        return Invocation(command, self._given.merged(given))

    @overload
    def get_dependency(self, key: str, default: Any = None) -> Any: ...
    @overload
    def get_dependency(self, key: type[T]) -> T: ...
    def get_dependency(self, key: Any, default: Any = None) -> Any:
        """Find what `set_dependency` or `with_dependency` gave to this process.

        Args:
            key: a name, or a type.
            default: what a missing name gives.

        Raises:
            LookupError: nothing of that type is there.
        """
        if isinstance(key, str):
            return self._scope.dependencies.get(key, default)
        if key not in self._scope.dependencies:
            raise LookupError(
                f"no dependency of type {key.__qualname__}: "
                "give it to the client with with_dependency(...)"
            )
        return self._scope.dependencies[key]

    def _local(
        self, kind: CommandKind, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Command, Options]:
        if isinstance(func, str):
            registered = self._scope.registry.by_name(func, self._given.version or 0)
        else:
            registered = self._registered(func)
        if registered is None:
            callee, given = describe(_raw(func)), self._given
            name, version = callee.name, 1
        else:
            callee = registered.callee
            given = registered.options.merged(self._given).merged(_given(func))
            name, version = registered.name, registered.version
        callee.check_arguments(args, kwargs)
        command = self._command(
            kind, name=name, version=version, callee=callee, args=args, kwargs=kwargs
        )
        return command, given

    def _remote(
        self, kind: CommandKind, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Command, Options]:
        if isinstance(func, str):
            command = self._command(kind, name=func, version=0, args=args, kwargs=kwargs)
            return command, self._given
        registered = self._registered(func)
        if registered is None:
            name = getattr(func, "__name__", repr(func))
            raise FunctionNotFoundError(
                f"function {name} is not registered here: register it, or call it by the name "
                f"under which it is registered elsewhere"
            )
        registered.callee.check_arguments(args, kwargs)
        command = self._command(
            kind,
            name=registered.name,
            version=registered.version,
            callee=registered.callee,
            args=args,
            kwargs=kwargs,
        )
        return command, registered.options.merged(self._given).merged(_given(func))

    def _registered(self, func: Any) -> Registered | None:
        raw = _raw(func)
        if not callable(raw):
            raise UsageError(
                f"{func!r} is not a function: write ctx.run(f, x), not ctx.run(f(ctx, x))"
            )
        return self._scope.registry.by_func(raw)

    def _command(
        self,
        kind: CommandKind,
        *,
        name: str = "",
        version: int = 1,
        callee: Callee | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        seconds: float | None = None,
        until: float | None = None,
        data: Any = None,
    ) -> Command:
        scope = self._scope
        if scope.is_closed:
            raise UsageError(f"the execution {scope.info.id!r} has ended: its context is closed")
        scope.children += 1
        id = f"{scope.info.id}.{scope.children}"
        if kind == "detached":
            # Named after the first root, so that a chain of them does not grow ids.
            id = f"{scope.prefix}.d{blake2b(id.encode(), digest_size=8).hexdigest()}"
        command = Command(
            kind=kind,
            id=id,
            name=name,
            version=version,
            callee=callee,
            args=args,
            kwargs=kwargs or {},
            seconds=seconds,
            until=until,
            data=data,
        )
        frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # inspect's is slower
        while frame.f_code.co_filename == __file__ and frame.f_back is not None:
            frame = frame.f_back
        scope.unused[id] = Unused(command, frame.f_code.co_filename, frame.f_lineno)
        return command


def _given(func: Any) -> Options:
    return func.given if isinstance(func, Function) else NO_OPTIONS


def _raw(func: Any) -> Any:
    return func.func if isinstance(func, Function) else func
