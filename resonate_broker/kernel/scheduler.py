"""Runs coroutines one after the other until each of them waits or has ended."""

from collections import deque
from collections.abc import Callable
from typing import Any

from resonate_broker.kernel.coroutine import Coroutine


class Scheduler:
    """A queue of coroutines that can go on. None ever sees another one between its yields."""

    def __init__(self, submit: Callable[[Coroutine, Any], None]) -> None:
        """Make an empty queue.

        Args:
            submit: takes what a coroutine yields, and sees to it that the coroutine is added
                again with the completion.
        """
        self._submit = submit
        self._runnable = deque[tuple[Coroutine, Any]]()

    def add(self, coroutine: Coroutine, completion: Any = None) -> None:
        """Let a coroutine go on, or start, at the next run."""
        self._runnable.append((coroutine, completion))

    def run(self) -> None:
        """Resume coroutines in order until none can go on."""
        while self._runnable:
            coroutine, completion = self._runnable.popleft()
            try:
                submission = coroutine.resume(completion)
            except Exception as error:  # noqa: BLE001  # one crashing rule must not stop the others
                coroutine.on_end(coroutine, error)
                continue
            if submission is None:
                coroutine.on_end(coroutine, None)
            else:
                self._submit(coroutine, submission)

    def __len__(self) -> int:
        """How many coroutines can go on."""
        return len(self._runnable)
