"""Event loops of the commands: a fast one for servers, an impatient one for everything else."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run_fast(work: Coroutine[Any, Any, T]) -> T:
    """Run a server until it is done."""
    import uvloop  # not loaded by the commands that do without it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def run_impatiently(work: Coroutine[Any, Any, T]) -> T:
    """Run until it is done; whatever a library has left on a thread is not waited for."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(_Impatient())
        return runner.run(work)


class _Impatient(ThreadPoolExecutor):
    """Threads that nobody waits for: the name of a host can take a minute to look up."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run a function on a thread that does not keep the process alive."""
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is the caller's
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, daemon=True).start()
        return future
