"""What is known of the hints that the broker holds, group by group."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from heapq import nsmallest
from itertools import islice

from resonate_broker.kernel.submissions import Probed
from resonate_sdk.protocol import limits

PROBE_FRESH_MS = 1_000
GREETING_FRESH_MS = 35_000  # a worker that said hello counts as a consumer for so long


class Window:
    """What is known of the hints of one group on the broker.

    Attributes:
        has_queued: some of its tasks may wait for room.
        ready: hints that no worker had when the queue was counted.
        consumers: workers that took from it then, perhaps.
        probed_at_ms: when it was counted, on the clock of the store.
        greeted_at_ms: when a worker of the group last said hello.
        passed_at_ms: the youngest hint whose task has been acquired was sent then.
        queued_count: how many batches have queued tasks of the group, ever.
    """

    __slots__ = (
        "_handed_over",
        "_outstanding",
        "consumers",
        "greeted_at_ms",
        "has_queued",
        "passed_at_ms",
        "probed_at_ms",
        "queued_count",
        "ready",
    )

    def __init__(self) -> None:
        """Know nothing: assume an empty queue."""
        self.has_queued = False
        self.ready = 0
        self.consumers = 0
        self.probed_at_ms: int | None = None
        self.greeted_at_ms: int | None = None
        self.passed_at_ms = 0
        self.queued_count = 0
        self._outstanding = 0  # in the queue or on the way to it when it was counted
        self._handed_over = 0  # sent by us, ever

    def room(self, size: int) -> int:
        """How many more hints the broker should hold."""
        return max(0, size - self.held)

    @property
    def held(self) -> int:
        """How many hints the broker holds, as far as is known."""
        return self._outstanding + self._handed_over

    def hand_over(self) -> None:
        """Another hint is on its way."""
        self._handed_over += 1

    def begin_probe(self) -> None:
        """The queue is about to be counted: what is sent from now on, the count may miss."""
        self._outstanding += self._handed_over
        self._handed_over = 0

    def end_probe(self, probed: Probed, now_ms: int) -> None:
        """The queue was counted."""
        self._outstanding = probed.ready + probed.unconfirmed
        self.ready = probed.ready
        self.consumers = probed.consumers
        self.probed_at_ms = now_ms

    def is_fresh(self, now_ms: int) -> bool:
        """Whether the last count is good enough to decide a re-send."""
        return self.probed_at_ms is not None and now_ms - self.probed_at_ms <= PROBE_FRESH_MS

    def has_consumer(self, now_ms: int) -> bool:
        """Whether somebody is there, or is just coming, to take hints."""
        greeted = self.greeted_at_ms
        return self.consumers > 0 or (greeted is not None and now_ms - greeted <= GREETING_FRESH_MS)


class Windows:
    """The windows of the groups that this server has met lately."""

    def __init__(
        self, size: int = limits.DISPATCH_WINDOW, is_open: Callable[[], bool] = lambda: True
    ) -> None:
        """Hold hints of the groups on the broker.

        Args:
            size: up to so many of each group.
            is_open: whether the broker takes messages at all just now.
        """
        self.size = size
        self.is_open = is_open
        self._windows = OrderedDict[str, Window]()  # used least recently first
        self._wanted: dict[str, None] = {}

    def of(self, group: str) -> Window:
        """The window of a group.

        When there are too many, the one that was used least recently is forgotten: what waits in
        its group is soon found again.
        """
        window = self._windows.get(group)
        if window is None:
            window = self._windows[group] = Window()
            if len(self._windows) > limits.GROUPS_MAX:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(group)
        return window

    def latest(self, count_max: int) -> Iterator[tuple[str, Window]]:
        """The windows of the groups that were used last."""
        return islice(reversed(self._windows.items()), count_max)

    def want(self, group: str) -> None:
        """Something about a group waits for a look at its queue."""
        self._wanted[group] = None

    def take_wanted(self, count_max: int) -> tuple[str, ...]:
        """Groups to look at now, those first that have waited longest."""
        groups = tuple(islice(self._wanted, count_max))
        for group in groups:
            del self._wanted[group]
        return groups

    @property
    def has_wanted(self) -> bool:
        """Whether a group waits for a look at its queue."""
        return bool(self._wanted)

    def want_queued(self, count_max: int) -> None:
        """Want a look at groups with queued tasks, those first that were looked at least."""
        queued = (group for group, window in self._windows.items() if window.has_queued)
        for group in nsmallest(count_max, queued, key=self._probed_at_ms):
            self.want(group)

    def _probed_at_ms(self, group: str) -> int:
        return self._windows[group].probed_at_ms or 0
