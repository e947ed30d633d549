"""What a body is told that does something a durable function cannot do."""

from inspect import isasyncgen, iscoroutine, isgenerator

from resonate_sdk.errors import UsageError
from resonate_sdk.functions.callee import Callee
from resonate_sdk.functions.ops import Command, Op
from resonate_sdk.protocol import limits


def cannot_wait_for(found: object) -> UsageError:
    """It has yielded something that is not made by its context."""
    advice = "yield what ctx.run, ctx.rpc, ctx.sleep or another method of ctx returned"
    if hasattr(found, "send") or hasattr(found, "__await__"):
        name = getattr(found, "__name__", "f")
        advice = f"did you mean ctx.run({name}, ...)?"
    elif callable(found):
        advice = f"did you mean ctx.run({getattr(found, '__name__', 'f')}, ...)?"
    return UsageError(f"a durable function cannot wait for {found!r}: {advice}")


def waits_for_itself(id: str, awaited: str) -> UsageError:
    """It waits for one of those that wait for it."""
    return UsageError(f"{id!r} waits for {awaited!r}, which cannot end before {id!r} does")


def too_deep(id: str) -> UsageError:
    """It is a call in so many others that it cannot be named after them."""
    return UsageError(
        f"the call {id[:40]!r}… is too deep in others: its id has {len(id.encode())} bytes, the "
        f"limit is {limits.ID_BYTES_MAX}: give some of them ids of their own, .options(id=...)"
    )


def returned_op(callee: Callee, value: object) -> UsageError | None:
    """It has returned a call instead of yielding it; None if it has not."""
    if isasyncgen(value):
        return UsageError(
            f"{callee.name} is an async function that yields: write `await ctx.run(...)` in it, or "
            "`def` instead of `async def`"
        )
    keyword = "await" if callee.kind == "coroutine" else "yield"
    if iscoroutine(value) or isgenerator(value):
        value.close()  # or Python would tell as well that nobody has run it
        return UsageError(
            f"{callee.name} returned what {value.__name__}(...) gives, which was never run: write "
            f"`return ({keyword} ctx.run({value.__name__}, ...))`"
        )
    if not isinstance(value, Op):
        return None
    return UsageError(
        f"{callee.name} returned {value!r} instead of its value: write `return ({keyword} ...)`"
    )


def same_id(id: str, known: Command | None, command: Command) -> UsageError:
    """Two calls of different functions were given one id."""
    other = "another call" if known is None else f"ctx.{known.kind}({known.name}, ...)"
    return UsageError(
        f"the id {id!r} was given to {other} and to ctx.{command.kind}({command.name}, ...): "
        "give each call an id of its own"
    )


def used_id(id: str, found: str, expected: str) -> UsageError:
    """A call was given an id that means another one."""
    return UsageError(
        f"the id {id!r} belongs to a call of {found.removeprefix('call:')}, not of "
        f"{expected.removeprefix('call:')}: give each call an id of its own"
    )
