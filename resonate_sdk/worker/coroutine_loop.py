"""The event loop for coroutines of the user's: the program's own, or one on a thread of ours."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from resonate_sdk.execution.effects import RunCoroutine, SendOutcome
from resonate_sdk.worker.coroutines import CoroutineRunner, Push


class CoroutineLoop:
    """Runs coroutines. A loop of ours is started only when it is needed."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Use a loop, or find one when it is needed."""
        self._lock = threading.Lock()
        self._of_program: _Host | None = None if loop is None else _Host(loop)
        self._own: _Host | None = None

    def adopt_running_loop(self) -> None:
        """Use the loop that runs on this thread, if one does and none is in use."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        with self._lock:
            if self._of_program is None:
                self._of_program = _Host(loop)

    def run(self, effect: RunCoroutine, push: Push) -> CoroutineRunner:
        """Run a coroutine; any thread may call."""
        with self._lock:
            host = self._of_program
            if host is None or not host.loop.is_running():
                host = self._own = self._own or _Host.on_thread()
            runner = CoroutineRunner(effect, push, host.loop)
            host.start(runner)
        return runner

    def send(self, runner: CoroutineRunner, effect: SendOutcome) -> None:
        """Give a coroutine something that it waits for."""
        _call(runner.loop, lambda: runner.send(effect.ticket, effect.outcome))

    def close(self, runner: CoroutineRunner) -> "Future[None]":
        """Cancel a coroutine; the future ends when it has."""
        _call(runner.loop, runner.close)
        return runner.closed

    def stop(self) -> None:
        """Cancel what still runs, and end the loop that is ours."""
        with self._lock:
            for host in (self._of_program, self._own):
                if host is not None:
                    host.stop()


class _Host:
    """Owns the tasks on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._group: asyncio.TaskGroup | None = None
        self._serving: Future[None] | None = None
        self._is_own = False

    @classmethod
    def on_thread(cls) -> "_Host":
        host = cls(asyncio.new_event_loop())
        host._is_own = True
        threading.Thread(target=host._run, name="resonate-async", daemon=True).start()
        return host

    def start(self, runner: CoroutineRunner) -> None:
        if self._serving is None:
            self._serving = asyncio.run_coroutine_threadsafe(self._serve(), self.loop)
        _call(self.loop, lambda: self._start(runner))

    def stop(self) -> None:
        if self._serving is not None:
            self._serving.cancel()

    def _start(self, runner: CoroutineRunner) -> None:
        if self._group is None:  # it begins in the turn after that in which it was asked for
            self.loop.call_soon(self._start, runner)
        else:
            runner.start(self._group)

    async def _serve(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await asyncio.Event().wait()  # until it is cancelled, and all tasks with it
        finally:
            if self._is_own:
                self.loop.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()


def _call(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        pass  # it is closed, and everything on it has been cancelled
