"""What a body is told that does something a durable function cannot do."""

from resonate_sdk.errors import UsageError
from resonate_sdk.functions.ops import Op


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


def returned_op(name: str, value: object) -> UsageError | None:
    """It has returned a call instead of yielding it; None if it has not."""
    if not isinstance(value, Op):
        return None
    return UsageError(f"{name} returned {value!r} instead of its value: write `return (yield ...)`")
