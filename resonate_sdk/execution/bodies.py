"""Bodies of durable functions: something that can be resumed until it ends."""

from collections.abc import Awaitable, Callable, Generator
from contextvars import Context as Variables
from typing import Any

from msgspec import Struct

from resonate_sdk.functions.ops import Op
from resonate_sdk.functions.running import RUNNING, Running


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


class GeneratorBody:
    """A generator function that has been called. It runs where it is resumed."""

    __slots__ = ("_generator", "_variables")

    def __init__(
        self, generator: Generator[Any, Any, Any], context: Any, variables: Variables
    ) -> None:
        """Take a generator that has not started.

        Args:
            generator: what the function returned.
            context: what the function was called with.
            variables: the context variables that it sees.
        """
        self._generator = generator
        self._variables = variables
        variables.run(RUNNING.set, Running(context, is_body=True))

    def resume(self, outcome: Returned | Raised | None) -> BodyStep:
        """Run until it waits again or ends.

        Args:
            outcome: of what it waited for; None to start it.
        """
        run = self._variables.run
        try:
            match outcome:
                case Returned(value=value):
                    return Yielded(run(self._generator.send, value))
                case None:
                    return Yielded(run(next, self._generator))
                case Raised(error=error):
                    return Yielded(run(self._generator.throw, error))
        except StopIteration as stop:
            return Returned(stop.value)
        except BaseException as error:  # noqa: BLE001  # the body's own errors are its outcome
            return Raised(error)

    def close(self) -> None:
        """Give it up where it stands; what it does about that has no effect any more."""
        try:
            self._variables.run(self._generator.close)
        except BaseException:  # noqa: BLE001  # the outcome is decided: a body cannot object
            pass


class CoroutineBody(Struct, eq=False):
    """An `async def` that has been called. It runs on an event loop, which this module knows not.

    Attributes:
        number: by which effects and events name it.
        awaitable: what the function returned.
        sent: how many outcomes it was sent.
        is_taken: somebody runs it.
    """

    number: int
    awaitable: Awaitable[Any]
    sent: int = 0
    is_taken: bool = False

    def discard(self) -> None:
        """Drop it, if it was never run: Python would complain otherwise."""
        close = getattr(self.awaitable, "close", None)
        if not self.is_taken and close is not None:
            close()


def called(returned: Any, context: Any, variables: Variables) -> GeneratorBody | Returned | None:
    """See what kind of function it was by what calling it returned; None: something to await."""
    if isinstance(returned, Op):
        return Returned(returned)  # a mistake, but not that of an async function
    if isinstance(returned, Generator):
        return GeneratorBody(returned, context, variables)  # pyright: ignore[reportUnknownArgumentType]  # of any type
    if hasattr(returned, "__await__"):
        return None
    return Returned(returned)


def call_function(call: Callable[[], Any]) -> Returned | Raised:
    """Call a user's function; whatever it raises is its outcome."""
    try:
        return Returned(call())
    except BaseException as error:  # noqa: BLE001  # the function's own errors are its outcome
        return Raised(error)
