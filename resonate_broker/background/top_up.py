"""R6, its queue: sends the hints of queued tasks when the broker has room for them."""

from collections.abc import Callable
from functools import partial

from resonate_broker import places, rules
from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.windows import Windows
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import (
    Commit,
    Failed,
    Load,
    Probe,
    Probed,
    ReadGroups,
    ReadQueued,
    ReadQueuedGroups,
    Spawn,
)
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import limits
from resonate_store.state import Group, Wanted

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
        self._again_at_ms: dict[str, int] = {}  # when limits have more to give

    def greet(self, group: str) -> None:
        """A worker of the group has come: look whether tasks wait for it."""
        window = self._windows.of(group)
        window.greeted_at_ms = self._now_ms()
        window.has_queued = True
        self._windows.want(group)

    def look_at(self, group: str) -> None:
        """Its limits are others than before: look whether tasks wait for a place."""
        self._windows.of(group).has_queued = True
        self._windows.want(group)

    @property
    def next_at_ms(self) -> int | None:
        """When limits alone will have more to give."""
        return min(self._again_at_ms.values(), default=None)

    def look_at_all(self) -> None:
        """The broker takes messages again: look at every group that waits, at the next run."""
        self._look_at_ms = 0
        self._rediscover_at_ms = 0

    def run(self) -> Body:
        """Count the queues of groups that wait, and send what they have room for.

        Returns when to run again: at once if more groups wait for a look.
        """
        yield from self._rediscover()
        self._want_again()
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
            if self._dispatch.limited.has(group):
                yield from self._within_limits(group, room)
                continue
            wanted = Wanted(count_max=room)
            ids: tuple[str, ...] | Failed = yield ReadQueued(group, wanted)
            if isinstance(ids, Failed):
                continue
            window.has_queued = len(ids) == room
            if window.queued_count != queued_before:  # perhaps too late to be among them
                window.has_queued = True
                self._windows.want(group)
            yield Spawn(tuple(partial(send_queued, id, self._dispatch) for id in ids))
        if self._windows.has_wanted:
            return self._now_ms()
        return self.next_at_ms

    def _within_limits(self, group: str, room: int) -> Body:
        """Send what the limits of a group allow; whoever does not get a place stays queued."""
        if not self._dispatch.limited.is_ready(group):
            return
        found: tuple[Group, ...] | Failed = yield ReadGroups(group)
        if isinstance(found, Failed):
            return
        now_ms = self._now_ms()
        limits_of = found[0] if found else Group(name=group)
        given = places.offer(limits_of, room, now_ms)
        if given.again_at_ms is not None:
            self._again_at_ms[group] = given.again_at_ms
        if given.wanted.count_max == 0:
            return
        window = self._windows.of(group)
        queued_before = window.queued_count
        ids: tuple[str, ...] | Failed = yield ReadQueued(group, given.wanted)
        if isinstance(ids, Failed):
            return
        if not ids and given.is_for_all and window.queued_count == queued_before:
            window.has_queued = False
        sent: list[str] = []
        yield Spawn(tuple(partial(send_queued, id, self._dispatch, group, sent) for id in ids))
        if sent:  # others may take what is left: those of other keys, or that have started before
            self._windows.want(group)

    def _want_again(self) -> None:
        now_ms = self._now_ms()
        for group, at_ms in tuple(self._again_at_ms.items()):
            if at_ms <= now_ms:
                del self._again_at_ms[group]
                self._windows.of(group).has_queued = True
                self._windows.want(group)

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


def send_queued(
    id: str, dispatch: Dispatch, limited: str | None = None, sent: list[str] | None = None
) -> Body:
    """Send the hint of one task, if it is still queued and live.

    Args:
        id: of its promise.
        dispatch: sends it.
        limited: its group, if that may have limits.
        sent: gets the id if it was sent.
    """
    state: WorkingState = yield Load(ids=(id,), groups=() if limited is None else (limited,))
    promise = rules.observe(state, id)
    is_sent = promise is not None and dispatch.top_up(state, promise) is not promise
    yield Commit()
    if is_sent and sent is not None:
        sent.append(id)
