"""Time that passes only when somebody says so: an event loop, and the host of all clients on it."""

import asyncio
import selectors
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from math import inf
from typing import Any, TypeVar

from resonate_sdk.client.host import Main
from resonate_sdk.errors import UsageError
from resonate_sdk.worker.coroutine_loop import CoroutineLoop
from resonate_sdk.worker.threads import Threads, carry_out

T = TypeVar("T")


class FakeClock:
    """What time it is in a test.

    Attributes:
        start_ms: when it began, epoch ms.
        elapsed_ms: how much time has passed since.
    """

    def __init__(self, start: datetime) -> None:
        """Begin at an instant."""
        self.start_ms = round(start.timestamp() * 1000)
        self.elapsed_ms = 0.0

    def now_ms(self) -> int:
        """Epoch ms."""
        return self.start_ms + int(self.elapsed_ms)

    def now(self) -> datetime:
        """The instant."""
        return datetime.fromtimestamp(self.now_ms() / 1000, UTC)


class _Selector(selectors.SelectSelector):
    """Never waits: when nothing happens by itself, it asks what to do."""

    def __init__(self) -> None:
        super().__init__()
        self.on_idle: Callable[[float | None], None] = _nothing

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout != 0:
            self.on_idle(timeout)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a clock of ours."""

    def __init__(self, clock: FakeClock) -> None:
        """Begin at the present instant of the clock."""
        self._clock = clock
        self.waiting = _Selector()
        super().__init__(self.waiting)

    def time(self) -> float:
        """Seconds on the clock."""
        return self._clock.elapsed_ms / 1000


class OneAfterTheOther:
    """Calls functions on a thread of their own, and waits for each: so the order is always the same.

    On a thread of their own, because code of the user's may do there what it may not do in an
    event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Be called from this loop."""
        self._loop = loop

    def call(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """Call a function to its end."""
        future: asyncio.Future[T] = self._loop.create_future()

        thread = threading.Thread(
            target=carry_out,
            args=(self.tell, future, function, args),
            name="resonate-test",
            daemon=True,
        )
        thread.start()
        thread.join()
        return future

    def tell(self, callback: Callable[..., None], *args: Any) -> None:
        """Have something called in the loop."""
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            pass  # the loop was closed: nobody waits for anything

    def shutdown(self) -> None:
        """Nothing waits here."""


class Time:
    """One event loop for all clients of a test, on the thread of the test.

    Attributes:
        loop: the loop.
        clock: what time it is.
    """

    def __init__(
        self,
        clock: FakeClock,
        *,
        due_at_ms: Callable[[], int | None],
        is_fine: Callable[[], bool],
        pass_on: Callable[[], None],
    ) -> None:
        """Run nothing yet.

        Args:
            clock: is set forward when everybody waits.
            due_at_ms: when the server has something to do, epoch ms; None: never.
            is_fine: whether the timers of the clients matter now; else time passes in larger steps.
            pass_on: tells the server that time has passed.
        """
        self.clock = clock
        self.loop = VirtualLoop(clock)
        self.loop.waiting.on_idle = self._idle
        self._due_at_ms = due_at_ms
        self._is_fine = is_fine
        self._pass_on = pass_on
        self._until: Callable[[], bool] = _never
        self._limit_ms = 0.0
        self._thread = threading.get_ident()

    def drive(self, until: Callable[[], bool], seconds: float) -> None:
        """Let happen what happens, until something is so or nothing happens within a time.

        Args:
            until: looked at when everybody waits.
            seconds: how much time may pass.

        Raises:
            UsageError: it is called by a function under test, for which time stands still.
        """
        if threading.get_ident() != self._thread:
            raise UsageError(
                "a function under test must not wait for a handle: call the other one through ctx"
            )
        self._until, self._limit_ms = until, self.clock.elapsed_ms + seconds * 1000
        self.loop.run_forever()

    def close(self) -> None:
        """End the loop."""
        self.drive(lambda: not asyncio.all_tasks(self.loop), 0)
        self.loop.close()

    def _idle(self, timeout_s: float | None) -> None:
        """Nothing can happen at this instant: let the next one come, or stop."""
        clock = self.clock
        due_at_ms = self._due_at_ms()
        next_ms = inf if due_at_ms is None else float(due_at_ms - clock.start_ms)
        if timeout_s is not None and self._is_fine():
            next_ms = min(next_ms, clock.elapsed_ms + timeout_s * 1000)
        is_over = self._until()
        if is_over or next_ms > self._limit_ms or next_ms == inf:
            if not is_over and self._limit_ms != inf:
                clock.elapsed_ms = max(clock.elapsed_ms, self._limit_ms)
            self.loop.stop()
            return
        clock.elapsed_ms = max(clock.elapsed_ms, next_ms)
        self._pass_on()


class VirtualHost:
    """Runs one client on the loop of a test."""

    def __init__(self, time: Time, *, replays_always: bool) -> None:
        """Run nothing yet."""
        self.replays_always = replays_always
        self._time = time
        self._main: asyncio.Task[None] | None = None
        self._coroutines = CoroutineLoop(time.loop)

    def now_ms(self) -> int:
        """The clock, epoch ms."""
        return self._time.clock.now_ms()

    def run(self, main: Main) -> None:
        """Begin to run the main coroutine of a client."""
        started = Future[None]()
        self._main = self._time.loop.create_task(main(started))  # ended by `kill`
        self._time.drive(started.done, 0)
        started.result(0)

    def join(self, timeout_s: float) -> None:
        """What ends on the loop has ended when nothing happens any more."""
        self._time.drive(self._is_over, timeout_s)

    def threads(self, count: int) -> Threads:
        """Runs one function at a time, however many are allowed."""
        return OneAfterTheOther(self._time.loop)

    def coroutines(self) -> CoroutineLoop:
        """On the same loop as everything else."""
        return self._coroutines

    def wait(self, future: "Future[Any]", timeout_s: float | None) -> float | None:
        """Let time pass until a future is there.

        Raises:
            UsageError: nothing that is left could complete it.
        """
        if not future.done():
            self._time.drive(future.done, inf if timeout_s is None else timeout_s)
        if timeout_s is None and not future.done():
            raise UsageError(
                "nothing is left that could give this result: is a worker of the group there, and "
                "who settles the promises that it waits for?"
            )
        return 0.0

    def kill(self) -> None:
        """End the client where it stands; the loop does it when it runs."""
        self._coroutines.stop()
        if self._main is not None:
            self._main.cancel()

    def _is_over(self) -> bool:
        return self._main is None or self._main.done()


def _nothing(_: float | None) -> None:
    """Nobody has said what to do."""


def _never() -> bool:
    return False
