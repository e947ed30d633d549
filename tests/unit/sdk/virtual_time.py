"""An event loop on which time passes when nothing else can happen."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from resonate_sdk.worker.threads import DaemonThreads

T = TypeVar("T")

STUCK_S = 30.0  # a thread that works for longer is stuck


class _Selector(selectors.SelectSelector):
    """Waits for threads; for time it does not wait but makes it pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.working = 0

    def select(self, timeout=None):
        events = super().select(STUCK_S if self.working and timeout != 0 else 0)
        if events or timeout == 0:
            return events
        assert not self.working, "a thread is stuck"
        assert timeout is not None, "everything waits for something that never happens"
        self.now_s += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Begins at zero; a sleep costs nothing, and work in threads takes no time."""

    def __init__(self) -> None:
        self._waiting = _Selector()
        super().__init__(self._waiting)

    def time(self) -> float:
        return self._waiting.now_s

    def run_in_executor(self, executor, func, *args):
        return self.works(super().run_in_executor(executor, func, *args))

    def works(self, future: "asyncio.Future[T]") -> "asyncio.Future[T]":
        """Let no time pass before a thread has done what it was given."""
        self._waiting.working += 1
        future.add_done_callback(self._worked)
        return future

    def _worked(self, _: Any) -> None:
        self._waiting.working -= 1


class TimelessThreads(DaemonThreads):
    """Threads whose work takes no virtual time."""

    def call(self, function, *args):
        future, loop = super().call(function, *args), asyncio.get_running_loop()
        return loop.works(future) if isinstance(loop, VirtualTimeLoop) else future


async def elapse(seconds: float) -> None:
    """Let virtual time pass; at once, and nowhere else than in virtual time."""
    assert isinstance(asyncio.get_running_loop(), VirtualTimeLoop), "this would really wait"
    await asyncio.sleep(seconds)


async def turn() -> None:
    """Let everybody else have a turn of the loop, virtual or not."""
    await asyncio.sleep(0)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)
