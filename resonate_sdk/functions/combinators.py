"""Waiting for several calls, so that a replay sees the same order of events.

Each is a generator that works for the function that called it. Which of several promises came
first is recorded, since at a replay it cannot be seen any more.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from resonate_sdk.errors import UsageError
from resonate_sdk.functions.ops import Begin, Call, Cancel, Detach, FirstOf, Op, Promise

T = TypeVar("T")

Losers = Literal["cancel", "detach", "join"]
Choose = Callable[[int], Call[int]]
Steps = Generator[Op[Any], Any, T]


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


def check_ops(method: str, ops: Sequence[Any], *, is_empty_allowed: bool = True) -> None:
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
    if not ops and not is_empty_allowed:
        raise UsageError(f"ctx.{method} of nothing would never end: give it a call or a promise")


def all_of(ops: Sequence[Op[Any]], choose: Choose) -> Steps[list[Any]]:
    """The values of all; the first rejection is raised at once."""
    promises: Sequence[Promise[Any]] = yield Begin(ops)
    failed: int | None = yield FirstOf(promises, "first_failed")
    if failed is not None:
        failed = yield choose(failed)
        assert failed is not None, "a choice gives a place"
        promises[failed].result()  # raises it
    return [promise.result() for promise in promises]


def all_settled(ops: Sequence[Op[Any]]) -> Steps[list[Settled[Any]]]:
    """How each ended."""
    promises: Sequence[Promise[Any]] = yield Begin(ops)
    yield FirstOf(promises, "all")
    return [_settled(promise) for promise in promises]


def race(ops: Sequence[Op[Any]], losers: Losers, choose: Choose) -> Steps[Won[Any]]:
    """The first that is settled."""
    promises: Sequence[Promise[Any]] = yield Begin(ops)
    winner: int = yield choose((yield FirstOf(promises, "first")))
    yield from _let_go(promises, winner, losers)
    return Won(index=winner, value=promises[winner].result())


def any_of(ops: Sequence[Op[Any]], losers: Losers, choose: Choose) -> Steps[Won[Any]]:
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
