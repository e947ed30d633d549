"""Bodies of durable functions: something that can be resumed until it ends."""

from collections.abc import Generator
from contextvars import ContextVar
from typing import Any, Protocol

from msgspec import Struct

from resonate_sdk.errors import UsageError
from resonate_sdk.functions.ops import Op

_is_in_workflow = ContextVar("_is_in_workflow", default=False)


def is_in_workflow() -> bool:
    """Whether the calling code is the body of a durable function, which must not block."""
    return _is_in_workflow.get()


class Yielded(Struct, frozen=True):
    """The body waits for what it yielded."""

    op: Any


class Returned(Struct, frozen=True):
    """The body has ended with a value."""

    value: Any


class Raised(Struct, frozen=True):
    """The body has ended with an exception, or is to be resumed with one."""

    error: BaseException


BodyStep = Yielded | Returned | Raised


class Body(Protocol):
    """A function that has been called and can be resumed."""

    def resume(self, outcome: Returned | Raised | None) -> BodyStep:
        """Run until it waits again or ends.

        Args:
            outcome: of what it waited for; None to start it.
        """
        ...

    def close(self) -> None:
        """Give it up where it stands."""
        ...


class GeneratorBody:
    """A generator function that has been called."""

    def __init__(self, generator: Generator[Any, Any, Any]) -> None:
        """Take a generator that has not started."""
        self._generator = generator

    def resume(self, outcome: Returned | Raised | None) -> BodyStep:
        """Run to the next yield."""
        token = _is_in_workflow.set(True)
        try:
            match outcome:
                case None:
                    return Yielded(next(self._generator))
                case Returned(value=value):
                    return Yielded(self._generator.send(value))
                case Raised(error=error):
                    return Yielded(self._generator.throw(error))
        except StopIteration as stop:
            return Returned(stop.value)
        except BaseException as error:  # noqa: BLE001  # the body's own errors are its outcome
            return Raised(error)
        finally:
            _is_in_workflow.reset(token)

    def close(self) -> None:
        """Close the generator; what it does about that has no effect any more."""
        try:
            self._generator.close()
        except BaseException:  # noqa: BLE001  # the outcome is decided: a body cannot object
            pass


def called(returned: Any, name: str) -> Body | Returned | Raised:
    """See what kind of function it was by what calling it returned."""
    if isinstance(returned, Op):
        return Returned(returned)  # a mistake, but not that of an async function
    if isinstance(returned, Generator):
        return GeneratorBody(returned)  # pyright: ignore[reportUnknownArgumentType]  # of any type
    if hasattr(returned, "__await__"):
        close = getattr(returned, "close", None)
        if close is not None:
            close()
        return Raised(
            UsageError(
                f"{name} is an async function or returned something to await: this release runs "
                "plain functions and generators: write `yield` instead of `await`"
            )
        )
    return Returned(returned)
