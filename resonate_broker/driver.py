"""Ticks the kernel whenever there is something to do, and when its time has come."""

import asyncio
import time

from resonate_broker.api.submission import SubmissionApi
from resonate_broker.kernel.system import System


class Driver:
    """The kernel's thread: every tick is one callback of the event loop."""

    def __init__(self, system: System) -> None:
        """Drive a kernel; `start` begins."""
        self._system = system
        self._steps = system.loop()
        self._api: SubmissionApi | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_scheduled = False

    def start(self, api: SubmissionApi) -> None:
        """Begin to tick."""
        self._api = api
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        next(self._steps)
        self.wake()

    def wake(self) -> None:
        """Tick at the next turn of the loop: what arrives until then shares the tick."""
        if self._loop is not None and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._tick)

    @property
    def is_running(self) -> bool:
        """Whether the kernel ticks."""
        return self._ended is not None and not self._ended.done()

    async def ended(self) -> None:
        """Wait until the kernel has shut down; what it raised comes out here."""
        assert self._ended is not None, "the driver was started"
        await asyncio.shield(self._ended)

    def _tick(self) -> None:
        assert self._loop is not None, "the driver was started"
        assert self._api is not None, "the driver was started"
        assert self._ended is not None, "the driver was started"
        self._is_scheduled = False
        if self._timer is not None:
            self._timer.cancel()
        if self._ended.done():
            return
        try:
            self._api.feed()
            began_s = time.perf_counter()
            now_ms = monotonic_ms()
            idle = self._steps.send(now_ms)
            # After the next transaction has been begun: the database works while we encode.
            self._loop.call_soon(self._flush)
            self._system.meters.ticks += 1
            self._system.meters.busy_s += time.perf_counter() - began_s
        except StopIteration:
            self._flush()
            self._ended.set_result(None)
            return
        except BaseException as error:
            self._ended.set_exception(error)  # a bug of ours: the process ends, loudly
            raise
        if self._api.is_behind and self._system.room:
            self.wake()
        delay_s = max(0, idle.until_at_ms - now_ms) / 1000
        self._timer = self._loop.call_later(delay_s, self.wake)

    def _flush(self) -> None:
        assert self._loop is not None, "the driver was started"
        assert self._api is not None, "the driver was started"
        self._api.flush(self._loop.time())


def monotonic_ms() -> int:
    """The clock of the ticks; only the store's clock decides anything."""
    return time.monotonic_ns() // 1_000_000
