"""How often the passes of a task have failed in a row, in this process."""

TASKS_MAX = 10_000


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
