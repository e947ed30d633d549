"""The first argument of every durable function."""

import logging
from collections.abc import Generator, Mapping, MutableMapping
from datetime import datetime
from functools import cached_property
from random import Random
from typing import Any, TypeVar, Unpack, overload
from uuid import UUID

from msgspec.structs import replace

from resonate_sdk.errors import DependencyNotFoundError, UsageError
from resonate_sdk.functions.calls import Calls
from resonate_sdk.functions.combinators import Combinators
from resonate_sdk.functions.commands import Commands
from resonate_sdk.functions.ops import Call, Invocation, Op
from resonate_sdk.functions.recorded import (
    RANDOM_DEPENDENCY,
    TIME_DEPENDENCY,
    RandomOps,
    TimeOps,
)
from resonate_sdk.functions.running import RUNNING
from resonate_sdk.functions.scope import Info, Scope
from resonate_sdk.options import (
    NO_OPTIONS,
    ContextOptions,
    Options,
    Seconds,
    check_known,
    make_options,
    seconds,
)

T = TypeVar("T")


class Context(Calls, Combinators):
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
        self._commands = Commands(scope, given)

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

    def block(self, promise_id: str) -> None:
        """End this attempt, whatever it still does; for `Promise.result()` of what is pending."""
        self._scope.blocked_by = promise_id
        self._scope.is_closed = True

    @cached_property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger that names the execution, and is silent while its past is replayed."""
        return _Logger(self._scope)

    @cached_property
    def random(self) -> RandomOps:
        """Random numbers that are recorded: `x = yield ctx.random.random()`."""
        return RandomOps(self._commands.record, self._scope.dependencies.get(RANDOM_DEPENDENCY))

    @cached_property
    def time(self) -> TimeOps:
        """The clock, recorded: `now = yield ctx.time.time()`."""
        return TimeOps(self._commands.record, self._scope.dependencies.get(TIME_DEPENDENCY))

    @cached_property
    def rng(self) -> Random:
        """Random numbers that follow from the id: the same at every replay, and nothing is stored.

        Whoever knows the id knows them: they are no secrets.
        """
        return Random(self.id)

    def uuid(self) -> UUID:
        """A UUID from `rng`."""
        return UUID(int=self.rng.getrandbits(128), version=4)

    def options(self, **given: Unpack[ContextOptions]) -> "Context":
        """A view whose calls begin with these options; it shares the count of calls.

        Args:
            given: as of `Call.options`, but `id`, `durable` and `type`.
        """
        check_known("ctx.options", given, ContextOptions)
        return Context(self._scope, self._commands.given.merged(make_options(**given)))

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
        commands = self._commands
        if until is not None:
            if until.tzinfo is None:
                raise UsageError("ctx.sleep(until=...) needs an instant with a time zone")
            command = commands.command("sleep", until=until.timestamp())
            return commands.made(Call(command, commands.given))
        assert secs is not None, "one of both is given"
        command = commands.command("sleep", seconds=seconds(secs))
        return commands.made(Call(command, commands.given))

    @overload
    def promise(
        self,
        *,
        id: str | None = None,
        type: type[T],
        timeout: Seconds | None = None,
        data: Any = None,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Invocation[T]: ...
    @overload
    def promise(
        self,
        *,
        id: str | None = None,
        type: Any = None,
        timeout: Seconds | None = None,
        data: Any = None,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Invocation[Any]: ...
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
        commands = self._commands
        command = commands.command("promise", seconds=until_deadline, data=data)
        return commands.made(Invocation(command, commands.given.merged(given)))

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
            DependencyNotFoundError: nothing of that type is there; a `LookupError`, and final.
        """
        if isinstance(key, str):
            return self._scope.dependencies.get(key, default)
        if key not in self._scope.dependencies:
            raise DependencyNotFoundError(
                f"no dependency of type {key.__qualname__}: give it to each client that runs this "
                "function, with resonate.with_dependency(...)"
            )
        return self._scope.dependencies[key]


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
