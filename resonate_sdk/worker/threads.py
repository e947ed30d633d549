"""Threads for code of the user's: a program may end while they run."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Job = tuple[Future[Any], Callable[[], Any]]


class DaemonThreads(Executor):
    """A pool like that of the standard library, which the end of the program does not wait for."""

    def __init__(self, count_max: int, name: str) -> None:
        """Start no thread before there is work for it."""
        self._count_max = count_max
        self._name = name
        self._jobs = SimpleQueue[Job | None]()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._count = 0
        self._is_shut_down = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function on one of the threads, after what was submitted before.

        Raises:
            RuntimeError: the pool was shut down.
        """
        future = Future[T]()
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError("these threads were shut down")
            self._jobs.put((future, lambda: fn(*args, **kwargs)))
            if not self._idle.acquire(blocking=False) and self._count < self._count_max:
                self._count += 1
                name = f"{self._name}_{self._count - 1}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; what runs goes on, and nobody waits for it."""
        with self._lock:
            self._is_shut_down = True
            while cancel_futures and not self._jobs.empty():
                job = self._jobs.get()
                if job is not None:
                    job[0].cancel()
            for _ in range(self._count):
                self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001  # it belongs to who waits for it
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del job, future, call  # nothing is kept alive by a thread that waits
            self._idle.release()
