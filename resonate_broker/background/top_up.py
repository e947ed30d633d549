"""R6, its queue: sends the hints of queued tasks when the broker has room for them."""

from collections.abc import Callable
from functools import partial

from resonate_broker import rules
from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.windows import Windows
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import (
    Commit,
    Failed,
    Load,
    Probe,
    Probed,
    ReadQueued,
    ReadQueuedGroups,
    Spawn,
)
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import limits

LOOK_MS = 1_000  # how often groups with queued tasks are looked at without a reason
REDISCOVER_MS = 10_000
GROUPS_PER_RUN = 100


class TopUp:
    """Keeps the windows full. One run at a time."""

    def __init__(self, windows: Windows, dispatch: Dispatch, now_ms: Callable[[], int]) -> None:
        """Fill the windows.

        Args:
            windows: what is known of the queues.
            dispatch: sends the hints.
            now_ms: the clock of the store.
        """
        self._windows = windows
        self._dispatch = dispatch
        self._now_ms = now_ms
        self._look_at_ms = 0
        self._rediscover_at_ms = 0

    def greet(self, group: str) -> None:
        """A worker of the group has come: look whether tasks wait for it."""
        window = self._windows.of(group)
        window.greeted_at_ms = self._now_ms()
        window.has_queued = True
        self._windows.want(group)

    def look_at_all(self) -> None:
        """The broker takes messages again: look at every group that waits, at the next run."""
        self._look_at_ms = 0
        self._rediscover_at_ms = 0

    def run(self) -> Body:
        """Count the queues of groups that wait, and send what they have room for.

        Returns the present instant if more groups wait for a look.
        """
        yield from self._rediscover()
        for group in self._windows.take_wanted(GROUPS_PER_RUN):
            window = self._windows.of(group)
            window.begin_probe()
            probed: Probed | Failed = yield Probe(group)
            if isinstance(probed, Failed):
                continue
            now_ms = self._now_ms()
            window.end_probe(probed, now_ms)
            room = min(window.room(self._windows.size), limits.DISPATCH_WINDOW)
            if not (window.has_queued and window.has_consumer(now_ms) and room):
                continue
            queued_before = window.queued_count
            ids: tuple[str, ...] | Failed = yield ReadQueued(group, room)
            if isinstance(ids, Failed):
                continue
            window.has_queued = len(ids) == room
            if window.queued_count != queued_before:  # perhaps too late to be among them
                window.has_queued = True
                self._windows.want(group)
            yield Spawn(tuple(partial(send_queued, id, self._dispatch) for id in ids))
        return self._now_ms() if self._windows.has_wanted else None

    def _rediscover(self) -> Body:
        """Find groups that wait: also those queued by another server, or in an earlier life."""
        now_ms = self._now_ms()
        if now_ms >= self._look_at_ms:
            self._look_at_ms = now_ms + LOOK_MS
            self._windows.want_queued(GROUPS_PER_RUN // 2)
        if now_ms < self._rediscover_at_ms:
            return
        groups: tuple[str, ...] | Failed = yield ReadQueuedGroups(limits.GROUPS_MAX)
        if isinstance(groups, Failed):
            return
        for group in groups:
            self._windows.of(group).has_queued = True
            self._windows.want(group)
        self._rediscover_at_ms = now_ms + REDISCOVER_MS


def send_queued(id: str, dispatch: Dispatch) -> Body:
    """Send the hint of one task, if it is still queued and live."""
    state: WorkingState = yield Load(ids=(id,))
    promise = rules.observe(state, id)
    if promise is not None:
        dispatch.top_up(state, promise)
    yield Commit()
