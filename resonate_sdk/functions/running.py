"""Which durable function the calling code belongs to."""

from collections.abc import Generator
from contextvars import ContextVar
from typing import Any, Protocol

from msgspec import Struct


class Awaiter(Protocol):
    """Waits for operations on behalf of a coroutine."""

    def wait(self, op: Any) -> Generator[Any, Any, Any]:
        """Wait for an operation: what `await op` gives or raises."""
        ...


class Running(Struct, frozen=True):
    """What runs.

    Attributes:
        context: its context.
        is_body: it may wait for its calls, so it must not block.
        awaiter: carries out its `await`; None where it writes `yield`.
    """

    context: Any
    is_body: bool = False
    awaiter: Awaiter | None = None


RUNNING = ContextVar[Running | None]("RUNNING", default=None)


def is_in_workflow() -> bool:
    """Whether the calling code is the body of a durable function, which must not block."""
    running = RUNNING.get()
    return running is not None and running.is_body


def is_in_coroutine() -> bool:
    """Whether it is the body of an `async def`."""
    running = RUNNING.get()
    return running is not None and running.awaiter is not None
