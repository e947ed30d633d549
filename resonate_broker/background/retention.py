"""R8: trees of settled promises go some time after the last of them settled.

It walks through the table in the order in which the rows lie there, a little at a time, and so needs
no index of its own. Whether a tree may go is decided where it is removed, under its locks: all its
promises are settled, nobody waits for one of them or is still to be told, and no execution of
another tree uses one.
"""

from collections import deque
from collections.abc import Callable

from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Failed, FindRetired, RemoveTree
from resonate_store.state import Retired

ROWS_PER_PART = 500
PARTS_PER_RUN = 20
INTERVAL_MS = 1_000


class Retention:
    """Removes what is older than an age. One run at a time."""

    def __init__(self, age_ms: int, now_ms: Callable[[], int]) -> None:
        """Begin at the beginning of the table.

        Args:
            age_ms: how long a tree stays after its last settlement.
            now_ms: the clock of the store.
        """
        assert age_ms > 0, "what has just settled stays"
        self._age_ms = age_ms
        self._now_ms = now_ms
        self._position = 0
        self._left = deque[str]()  # trees that were found and not looked at yet

    def run(self) -> Body:
        """Look at the next trees; run again at once if more are left, or something was removed."""
        settled_before_ms = self._now_ms() - self._age_ms
        if not self._left:
            found: Retired | Failed = yield FindRetired(self._position, settled_before_ms)
            if isinstance(found, Failed):
                return None
            self._left.extend(found.trees)
            self._position = found.next_position
        removed_count, parts = 0, 0
        while self._left and parts < PARTS_PER_RUN:
            parts += 1
            tree = self._left[0]
            removed: int | Failed = yield RemoveTree(tree, settled_before_ms, ROWS_PER_PART)
            if isinstance(removed, Failed):
                self._left.popleft()  # it is found again when the walk comes around
                return None
            removed_count += removed
            if removed < ROWS_PER_PART:
                self._left.popleft()
        return self._now_ms() if removed_count or self._left else None
