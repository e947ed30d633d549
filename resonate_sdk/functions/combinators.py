"""Waiting for several calls, so that a replay sees the same order of events.

Each is a generator that works for the function that called it. Which of several promises came
first is recorded, since at a replay it cannot be seen any more.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Generic, Literal, TypeVar, get_args, overload

from msgspec import Struct

from resonate_sdk.errors import UsageError
from resonate_sdk.functions.callee import instant
from resonate_sdk.functions.commands import Commands
from resonate_sdk.functions.ops import Begin, Call, Cancel, Detach, FirstOf, Op, Promise
from resonate_sdk.options import NO_OPTIONS, Options
from resonate_sdk.protocol import limits
from resonate_sdk.retry import Never

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")

Losers = Literal["cancel", "detach", "join"]
Choose = Callable[[int], Call[int]]
Steps = Generator[Op[Any], Any, T]

_UNRECORDED = Options(durable=False, retry_policy=Never())


class Settled(Struct, Generic[T], frozen=True, kw_only=True):
    """How one of several calls ended.

    Attributes:
        value: its value, if it has one.
        error: what it was rejected with, otherwise.
    """

    value: T | None = None
    error: Exception | None = None

    def result(self) -> T:
        """The value; the error is raised."""
        if self.error is not None:
            raise self.error
        return self.value  # pyright: ignore[reportReturnType]  # without an error it has one


class Won(Struct, Generic[T], frozen=True, kw_only=True):
    """Which of several calls came first.

    Attributes:
        index: its place among them.
        value: its value.
    """

    index: int
    value: T


class Combinators:
    """What a context does with several calls."""

    _commands: Commands

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
        _check_ops("all", found)

        def steps() -> Steps[Any]:
            values = yield from _all_of(found, choose)
            return values if is_iterable else tuple(values)

        call, choose = self._combined("all", steps)
        return call

    def all_settled(self, ops: Iterable[Op[T]]) -> Call[list[Settled[T]]]:
        """Wait until several calls and promises have ended, well or not; raises none of their errors.

        Args:
            ops: calls and promises.
        """
        found = tuple(ops)
        _check_ops("all_settled", found)
        call, _ = self._combined("all_settled", lambda: _all_settled(found))
        return call

    def race(self, ops: Iterable[Op[T]], *, losers: Losers = "cancel") -> Call[Won[T]]:
        """Wait for the first of several calls and promises to end; its rejection is raised.

        Args:
            ops: calls and promises.
            losers: the others are canceled; or go on and are not waited for (`detach`); or are
                waited for at the end of this function (`join`).
        """
        found = tuple(ops)
        _check_ops("race", found)
        _check_race("race", found, losers)
        call, choose = self._combined("race", lambda: _race(found, losers, choose))
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
        _check_ops("any", found)
        _check_race("any", found, losers)
        call, choose = self._combined("any", lambda: _any_of(found, losers, choose))
        return call

    def _combined(self, method: str, steps: Callable[[], Steps[Any]]) -> tuple[Call[Any], Choose]:
        """A call that waits for others, and the choice that it may record under its id."""
        commands, callee = self._commands, instant(method, steps)
        command = commands.command("run", name=method, callee=callee, is_for_caller=True)

        id = command.id  # alone: the command knows its steps, which know this function

        def choose(index: int) -> Call[int]:
            chosen = instant("choice", lambda: index, int)
            return Call(commands.command("choice", callee=chosen, id=id), NO_OPTIONS)

        return commands.made(Call(command, _UNRECORDED)), choose


def _check_ops(method: str, ops: Sequence[Any]) -> None:
    """Refuse what cannot be waited for.

    Raises:
        UsageError: something is no call and no promise.
    """
    for op in ops:
        if not isinstance(op, Op):
            raise UsageError(
                f"ctx.{method} takes calls and promises, found {op!r}: "
                f"write ctx.{method}(ctx.run(f, x), ctx.rpc(g, y))"
            )


def _check_race(method: str, ops: Sequence[Any], losers: str) -> None:
    """Refuse to wait for the first of none, or of more than a task can wait for.

    Raises:
        UsageError: there are too few or too many, or nobody knows what becomes of the others.
    """
    if losers not in (known := get_args(Losers)):
        raise UsageError(f"ctx.{method} takes losers= of {known}, found {losers!r}")
    if not ops:
        raise UsageError(f"ctx.{method} of nothing would never end: give it a call or a promise")
    if len(ops) > limits.AWAITED_PER_SUSPEND_MAX:
        raise UsageError(
            f"ctx.{method} takes at most {limits.AWAITED_PER_SUSPEND_MAX} calls and promises, "
            f"found {len(ops)}: let functions that you call wait for a part of them each"
        )


def _all_of(ops: Sequence[Op[Any]], choose: Choose) -> Steps[list[Any]]:
    """The values of all; the first rejection is raised at once."""
    promises: Sequence[Promise[Any]] = yield Begin(ops)
    failed: int | None = yield FirstOf(promises, "first_failed")
    if failed is not None:
        failed = yield choose(failed)
        assert failed is not None, "a choice gives a place"
        promises[failed].result()  # raises it
    return [promise.result() for promise in promises]


def _all_settled(ops: Sequence[Op[Any]]) -> Steps[list[Settled[Any]]]:
    """How each ended."""
    promises: Sequence[Promise[Any]] = yield Begin(ops)
    yield FirstOf(promises, "all")
    return [_settled(promise) for promise in promises]


def _race(ops: Sequence[Op[Any]], losers: Losers, choose: Choose) -> Steps[Won[Any]]:
    """The first that is settled."""
    promises: Sequence[Promise[Any]] = yield Begin(ops)
    winner: int = yield choose((yield FirstOf(promises, "first")))
    yield from _let_go(promises, winner, losers)
    return Won(index=winner, value=promises[winner].result())


def _any_of(ops: Sequence[Op[Any]], losers: Losers, choose: Choose) -> Steps[Won[Any]]:
    """The first that has a value; if none has, all their errors as a group."""
    promises: Sequence[Promise[Any]] = yield Begin(ops)
    first: int | None = yield FirstOf(promises, "first_resolved")
    if first is None:
        errors = [found.error for found in map(_settled, promises) if found.error is not None]
        raise ExceptionGroup("none of the calls has a value", errors)
    winner: int = yield choose(first)
    yield from _let_go(promises, winner, losers)
    return Won(index=winner, value=promises[winner].result())


def _let_go(promises: Sequence[Promise[Any]], winner: int, losers: Losers) -> Steps[None]:
    others = [promise for index, promise in enumerate(promises) if index != winner]
    match losers:
        case "cancel":
            yield Cancel(others)
            yield Detach(others)
        case "detach":
            yield Detach(others)
        case "join":
            pass


def _settled(promise: Promise[Any]) -> Settled[Any]:
    try:
        return Settled(value=promise.result())
    except Exception as error:  # noqa: BLE001  # that is what it is asked for
        return Settled(error=error)
