"""The first argument of every durable function."""

import logging
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, MutableMapping
from datetime import datetime
from functools import cached_property, partial
from hashlib import blake2b
from random import Random
from typing import Any, Concatenate, ParamSpec, TypeVar, overload
from uuid import UUID

from msgspec.structs import replace

from resonate_sdk.errors import FunctionNotFoundError, UsageError
from resonate_sdk.functions import combinators
from resonate_sdk.functions.callee import Callee, describe, instant
from resonate_sdk.functions.combinators import Losers, Settled, Won
from resonate_sdk.functions.function import Function
from resonate_sdk.functions.ops import Call, Command, CommandKind, Invocation, Op
from resonate_sdk.functions.recorded import (
    RANDOM_DEPENDENCY,
    TIME_DEPENDENCY,
    RandomOps,
    TimeOps,
)
from resonate_sdk.functions.registry import Registered
from resonate_sdk.functions.running import RUNNING
from resonate_sdk.functions.scope import Info, Scope, call_site
from resonate_sdk.options import NO_OPTIONS, Options, Seconds, make_options, seconds
from resonate_sdk.retry import Never, RetryPolicy

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
PendingT = TypeVar("PendingT", Call[Any], Invocation[Any])

_UNRECORDED = Options(durable=False, retry_policy=Never())


class Context:
    """Calls made through it are durable: each is a promise, executed once to its end.

    The id of a call follows from its place: the n-th context method called in the execution `x`
    makes the promise `x.n`. So a function must call its context in the same order every time.

    Example:
        >>> from resonate_sdk.testing import inline
        >>> def add(ctx: Context, a: int, b: int) -> int:
        ...     return a + b
        >>> def four_times(ctx: Context, n: int):
        ...     twice = yield ctx.run(add, n, n)
        ...     return (yield ctx.run(add, twice, twice))
        >>> inline(four_times, 5)
        20
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
        info = self._scope.info
        return replace(info, replaying=True) if self._scope.is_replaying else info

    @property
    def canceled(self) -> bool:
        """Whether the result is wanted no more: canceled, timed out, or run by somebody else.

        For plain functions that take long, which nobody can interrupt.
        """
        return self._scope.is_over

    @cached_property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger that names the execution, and is silent while its past is replayed."""
        return _Logger(self._scope)

    @cached_property
    def random(self) -> RandomOps:
        """Random numbers that are recorded: `x = yield ctx.random.random()`."""
        return RandomOps(self._record, self._scope.dependencies.get(RANDOM_DEPENDENCY))

    @cached_property
    def time(self) -> TimeOps:
        """The clock, recorded: `now = yield ctx.time.time()`."""
        return TimeOps(self._record, self._scope.dependencies.get(TIME_DEPENDENCY))

    @cached_property
    def rng(self) -> Random:
        """Random numbers that follow from the id: the same at every replay, and nothing is stored.

        Whoever knows the id knows them: they are no secrets.
        """
        return Random(self.id)

    def uuid(self) -> UUID:
        """A UUID from `rng`."""
        return UUID(int=self.rng.getrandbits(128), version=4)

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
        return self._made(Call(*self._local("run", func, args, kwargs)))

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
        return self._made(Invocation(*self._local("run", func, args, kwargs)))

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
        return self._made(Call(*self._remote("rpc", func, args, kwargs)))

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
        return self._made(Invocation(*self._remote("rpc", func, args, kwargs)))

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
        if isinstance(func, str) and args and callable(args[0]):
            logger.warning(
                "ctx.detached(id, function, ...) is the old form, write "
                "ctx.detached(function, ...).options(id=...) promise_id=%s",
                func,
            )
            return self.detached(args[0], *args[1:], **kwargs).options(id=func)
        return self._made(Invocation(*self._remote("detached", func, args, kwargs)))

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
            command = self._command("sleep", until=until.timestamp())
            return self._made(Call(command, self._given))
        assert secs is not None, "one of both is given"
        return self._made(Call(self._command("sleep", seconds=seconds(secs)), self._given))

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
        return self._made(Invocation(command, self._given.merged(given)))

    @overload
    def all(self, op1: Op[T1], /) -> Call[tuple[T1]]: ...
    @overload
    def all(self, op1: Op[T1], op2: Op[T2], /) -> Call[tuple[T1, T2]]: ...
    @overload
    def all(self, op1: Op[T1], op2: Op[T2], op3: Op[T3], /) -> Call[tuple[T1, T2, T3]]: ...
    @overload
    def all(
        self, op1: Op[T1], op2: Op[T2], op3: Op[T3], op4: Op[T4], /
    ) -> Call[tuple[T1, T2, T3, T4]]: ...
    @overload
    def all(self, ops: Iterable[Op[T]], /) -> Call[list[T]]: ...
    @overload
    def all(self, *ops: Op[T]) -> Call[tuple[T, ...]]: ...
    def all(self, *ops: Any) -> Call[Any]:
        """Wait for several calls and promises; the first rejection is raised at once.

        Args:
            ops: calls and promises, or one iterable of them.

        Returns:
            Their values in this order, as a tuple; as a list, if an iterable was given.
        """
        is_iterable = len(ops) == 1 and not isinstance(ops[0], Op)
        found: tuple[Any, ...] = (*ops[0],) if is_iterable else ops
        combinators.check_ops("all", found)

        def steps() -> combinators.Steps[Any]:
            values = yield from combinators.all_of(found, choose)
            return values if is_iterable else tuple(values)

        call, choose = self._combined("all", steps)
        return call

    def all_settled(self, ops: Iterable[Op[T]]) -> Call[list[Settled[T]]]:
        """Wait until several calls and promises have ended, well or not; raises none of their errors.

        Args:
            ops: calls and promises.
        """
        found = tuple(ops)
        combinators.check_ops("all_settled", found)
        call, _ = self._combined("all_settled", lambda: combinators.all_settled(found))
        return call

    def race(self, ops: Iterable[Op[T]], *, losers: Losers = "cancel") -> Call[Won[T]]:
        """Wait for the first of several calls and promises to end; its rejection is raised.

        Args:
            ops: calls and promises.
            losers: the others are canceled; or go on and are not waited for (`detach`); or are
                waited for at the end of this function (`join`).
        """
        found = tuple(ops)
        combinators.check_ops("race", found, is_empty_allowed=False)
        call, choose = self._combined("race", lambda: combinators.race(found, losers, choose))
        return call

    def any(self, ops: Iterable[Op[T]], *, losers: Losers = "cancel") -> Call[Won[T]]:
        """Wait for the first of several calls and promises that has a value.

        Args:
            ops: calls and promises.
            losers: as of `race`.

        Raises:
            ExceptionGroup: when it is yielded: none has a value; these are their errors.
        """
        found = tuple(ops)
        combinators.check_ops("any", found, is_empty_allowed=False)
        call, choose = self._combined("any", lambda: combinators.any_of(found, losers, choose))
        return call

    def typesafe(self, op: Op[T]) -> Generator[Op[Any], Any, T]:
        """Make `value = yield from ctx.typesafe(op)` typed; `yield from op` is, too."""
        return (yield from op)

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
        is_for_caller: bool = False,
        id: str | None = None,
    ) -> Command:
        scope = self._scope
        if id is None:
            id = scope.next_id()
        if kind == "detached":
            # Named after the first root, so that a chain of them does not grow ids.
            id = f"{scope.prefix}.d{blake2b(id.encode(), digest_size=8).hexdigest()}"
        file, line = call_site()
        return Command(
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
            is_for_caller=is_for_caller,
            file=file,
            line=line,
        )

    def _made(self, op: PendingT) -> PendingT:
        """Take note of a call: somebody must yield it, or it begins by itself."""
        scope = self._scope
        scope.unused[op.command.id] = op.command
        if scope.on_made is not None:
            scope.on_made(op)
        return op

    def _record(self, name: str, draw: Callable[[], Any], type: Any) -> Call[Any]:
        """A call that records a value which is there at once."""
        callee = instant(name, draw, type)
        return self._made(Call(self._command("run", name=name, callee=callee), NO_OPTIONS))

    def _combined(
        self, method: str, steps: Callable[[], combinators.Steps[Any]]
    ) -> tuple[Call[Any], combinators.Choose]:
        """A call that waits for others, and the choice that it may record under its id."""
        callee = instant(method, steps)
        command = self._command("run", name=method, callee=callee, is_for_caller=True)
        choose = partial(self._choose, command.id)
        return self._made(Call(command, _UNRECORDED)), choose

    def _choose(self, id: str, index: int) -> Call[int]:
        callee = instant("choice", lambda: index, int)
        return Call(self._command("choice", callee=callee, id=id), NO_OPTIONS)


class _Logger(logging.LoggerAdapter[logging.Logger]):
    def __init__(self, scope: Scope) -> None:
        super().__init__(logging.getLogger(f"resonate.{scope.info.func}"), {})
        self._scope = scope

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # a name of the standard library
        return not self._scope.is_replaying and super().isEnabledFor(level)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        return f"{self._scope.info.id}: {msg}", kwargs


def current() -> Context:
    """The context of the durable function that the calling code belongs to.

    Helpers need not be handed a context; it is known in threads and tasks of the function, too.

    Raises:
        UsageError: it belongs to none.
    """
    found = current_or_none()
    if found is None:
        raise UsageError("this code runs in no durable function: call it from one, or pass ctx")
    return found


def current_or_none() -> Context | None:
    """The context of the durable function that the calling code belongs to, if there is one."""
    running = RUNNING.get()
    return None if running is None else running.context


def _given(func: Any) -> Options:
    return func.given if isinstance(func, Function) else NO_OPTIONS


def _raw(func: Any) -> Any:
    return func.func if isinstance(func, Function) else func
