"""How often the passes of a task have failed in a row, in this process, and what follows."""

import random

TASKS_MAX = 10_000
DELAY_S = 1.0
DELAY_S_MAX = 30.0
DOUBLINGS_MAX = 10  # more change nothing; after a thousand no float holds the number


class Failures:
    """Consecutive failures by task; those of a task that went elsewhere are forgotten in time."""

    def __init__(self, tasks_max: int = TASKS_MAX) -> None:
        """Know of none; the oldest are forgotten when there are too many."""
        self._tasks_max = tasks_max
        self._counts: dict[str, int] = {}  # the task that failed last is the last one

    def count(self, id: str) -> int:
        """How often the task has failed in a row."""
        return self._counts.get(id, 0)

    def add(self, id: str) -> int:
        """The task has failed once more; return how often in a row."""
        count = self._counts.pop(id, 0) + 1
        if len(self._counts) == self._tasks_max:
            del self._counts[next(iter(self._counts))]
        self._counts[id] = count
        return count

    def forget(self, id: str) -> None:
        """The task does not fail any more."""
        self._counts.pop(id, None)


def delay_s(id: str, attempts: int) -> float:
    """How long to keep a task that has failed so often, before it is given back.

    Tasks that have failed together come back one after the other. How far apart depends on their
    ids alone, so that runs in virtual time repeat.
    """
    longest_s = min(DELAY_S * 2.0 ** min(attempts - 1, DOUBLINGS_MAX), DELAY_S_MAX)
    return longest_s * random.Random(f"{id} {attempts}").uniform(0.75, 1.0)
