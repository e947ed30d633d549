"""What applications leave in transactions of their own, and who has taken what of it.

PostgreSQL's table of that name has contract tests of its own. Here it is what the servers see of
it: rows that turn up late, in any order, and that only one of them gets.
"""

from collections.abc import Callable, Collection, Sequence

from resonate_store.state import Changes, InboxEntry, InboxRow
from tests.simulation.requests import Requests
from tests.simulation.world import World

OPEN_MS_MAX = 3_000


class Inbox:
    """Rows that are committed, until they are taken.

    Attributes:
        left: every row there has been, by number.
        waiting: rows that no server has taken, by number.
        refused: rows that stay, and why.
    """

    def __init__(self) -> None:
        self.left: dict[int, InboxRow] = {}
        self.waiting: dict[int, InboxRow] = {}
        self.refused: dict[int, str] = {}

    def leave(self, rows: Sequence[InboxRow]) -> None:
        """An application has committed."""
        for row in rows:
            self.left[row.number] = self.waiting[row.number] = row

    def entries(self, limit: int) -> tuple[InboxEntry, ...]:
        """The oldest rows that wait."""
        numbers = sorted(self.waiting)[:limit]
        return tuple(InboxEntry(number=number, id=self.waiting[number].id) for number in numbers)

    def free(self, numbers: Sequence[int], taken: Collection[str]) -> tuple[InboxRow, ...]:
        """Those of some rows that still wait, and that nobody has locked."""
        found = (self.waiting.get(number) for number in numbers)
        return tuple(row for row in found if row is not None and lock(row) not in taken)

    def write(self, changes: Changes, locked: Collection[str]) -> None:
        """A server has decided about rows that it has locked."""
        decided = (*changes.inbox_taken, *(refusal.number for refusal in changes.inbox_refused))
        for number in decided:
            assert lock(self.waiting[number]) in locked, f"C19: {number} is not locked"
        for number in changes.inbox_taken:
            del self.waiting[number]
        for refusal in changes.inbox_refused:
            del self.waiting[refusal.number]
            self.refused[refusal.number] = refusal.reason


def lock(row: InboxRow) -> str:
    """What who has locked a row holds."""
    return f"inbox {row.number}"


class Application:
    """Leaves calls in its transactions, some of which it takes back."""

    def __init__(
        self, world: World, inbox: Inbox, requests: Requests, notify: Callable[[], None]
    ) -> None:
        """Leave calls.

        Args:
            world: time and chance.
            inbox: where they are left.
            requests: what promises may look like.
            notify: told of each commit.
        """
        self._world = world
        self._inbox = inbox
        self._requests = requests
        self._notify = notify
        self._number = 0

    def act(self) -> None:
        """Open a transaction: rows are numbered at once, and seen when it ends."""
        rows = [self._row() for _ in range(self._world.random.choice((1, 1, 2, 5)))]
        self._world.note(f"an application leaves {rows}")
        is_kept = self._world.random.random() < 0.8
        self._world.after(
            1 + self._world.delay(OPEN_MS_MAX), lambda: self._commit(rows) if is_kept else None
        )

    def _row(self) -> InboxRow:
        self._number += 1
        return self._requests.call(self._number)

    def _commit(self, rows: Sequence[InboxRow]) -> None:
        self._inbox.leave(rows)
        self._notify()
