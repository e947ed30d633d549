"""Where the event loop of a client runs, and how others wait for what happens there."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

try:
    from uvloop import new_event_loop
except ImportError:  # there is none for Windows
    from asyncio import new_event_loop

from resonate_sdk import clock
from resonate_sdk.worker.coroutine_loop import CoroutineLoop
from resonate_sdk.worker.threads import DaemonThreads, Threads

T = TypeVar("T")

START_TIMEOUT_S = 10.0

Main = Callable[["Future[None]"], Coroutine[Any, Any, None]]
"""What runs on the loop; it completes the future when it is ready."""


class Host(Protocol):
    """Runs clients. Tests have one of their own, on which time passes when they say so."""

    @property
    def replays_always(self) -> bool:
        """Whether passes begin anew after everything that they have written."""
        ...

    def now_ms(self) -> int:
        """The clock, epoch ms."""
        ...

    def run(self, main: Main) -> None:
        """Begin to run the main coroutine of a client; return when it is ready."""
        ...

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        ...

    def threads(self, count: int) -> Threads:
        """Threads for code of the user's, `count` at most."""
        ...

    def coroutines(self) -> CoroutineLoop:
        """Where coroutines of the user's run."""
        ...

    def wait(self, future: "Future[Any]", timeout_s: float | None) -> float | None:
        """Let a future come about as far as that needs somebody's doing.

        Returns:
            How long to wait for it then.
        """
        ...


class ThreadHost:
    """A thread of its own, which never runs user code."""

    replays_always = False

    def __init__(self) -> None:
        """Start nothing yet."""
        self._thread: threading.Thread | None = None

    def now_ms(self) -> int:
        """The clock, epoch ms."""
        return clock.now_ms()

    def run(self, main: Main) -> None:
        """Start the thread."""
        started = Future[None]()
        self._thread = threading.Thread(
            target=self._run, args=(main, started), name="resonate-io", daemon=True
        )
        self._thread.start()
        started.result(START_TIMEOUT_S)

    def join(self, timeout_s: float) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def threads(self, count: int) -> Threads:
        """Threads that the end of the program does not wait for."""
        return DaemonThreads(count, "resonate-worker")

    def coroutines(self) -> CoroutineLoop:
        """On the program's loop, or one on a further thread."""
        return CoroutineLoop()

    def wait(self, future: "Future[Any]", timeout_s: float | None) -> float | None:
        """What happens on the thread happens by itself."""
        return timeout_s

    def _run(self, main: Main, started: "Future[None]") -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main(started))


def result_of(host: Host, future: "Future[T]", timeout_s: float | None) -> T:
    """Wait for a future.

    Raises:
        TimeoutError: the wait was over.
    """
    return future.result(host.wait(future, timeout_s))
