"""How many hints a worker lets the broker deliver: decisions only, no I/O.

A hint is used up when the attempt to acquire its task is answered, and could be acknowledged then.
But acknowledging tells the broker to deliver the next one. So the acknowledgements of running
hints are withheld while the free slots are fewer than the prefetch: the broker cannot deliver more
than fits, nothing is hoarded, and at low load nothing waits.

The prefetch begins small and grows while it, and not the slots, is what limits the hints: many
short executions then share a message to the server. It is small again when one of them takes long.
"""

from collections.abc import Sequence

from msgspec import Struct

WINDOW_MIN = 16
WINDOW_GROWTH = 4
WITHHELD_MS_MAX = 1_000  # the broker has a limit, too, for how long a message stays unacknowledged
UNSTARTED_MS_MAX = 50  # so long a hint waits here for a slot that another hint has taken
GROW_MS = 1_000  # a prefetch that has become too small is raised at most so often


class Start(Struct, frozen=True):
    """Run the execution of this hint; a slot is its own."""

    tag: int
    is_sticky: bool


class Ack(Struct, frozen=True):
    """Acknowledge a hint of the group."""

    tag: int


class Requeue(Struct, frozen=True):
    """Give a hint of the group back, for another worker."""

    tag: int


class PassOn(Struct, frozen=True):
    """Let a hint that prefers this process go to the others."""

    tag: int


class Cancel(Struct, frozen=True):
    """Take no more hints of the group; answered with `cancelled`."""


class Consume(Struct, frozen=True):
    """Take hints of the group again."""

    prefetch: int


Action = Start | Ack | Requeue | PassOn | Cancel | Consume


class Capacity:
    """The slots of one worker, and the hints that take them up or wait for them."""

    def __init__(self, slots: int, prefetch_max: int | None = None) -> None:
        """Have all slots free and consume nothing.

        Args:
            slots: how many executions may be under way at a time.
            prefetch_max: how many hints may be delivered at a time, if not as many.
        """
        assert slots > 0, "a worker has slots"
        assert prefetch_max is None or prefetch_max > 0, "a worker takes hints"
        self._slots = slots
        self._free = slots
        self._prefetch = 0
        self._window_max = max(slots, WINDOW_MIN) if prefetch_max is None else prefetch_max
        self._window = min(WINDOW_MIN, self._window_max)  # the prefetch is not larger
        self._was_full = False
        self._is_consuming = False
        self._is_cancelling = False
        self._is_ended = False
        self._consuming_since_ms = 0
        # Hints of the group that are not acknowledged; with since when, oldest first.
        self._waiting: dict[int, int] = {}  # for a slot
        self._starting = set[int]()  # their tasks are being acquired
        self._running: dict[int, int] = {}  # the attempt was answered
        self._left_over = set[int]()  # hints of a cancelled consumer that are being acquired

    @property
    def slots(self) -> int:
        """All slots."""
        return self._slots

    @property
    def free(self) -> int:
        """Slots that no execution has."""
        return self._free

    @property
    def in_flight(self) -> int:
        """Slots that executions have."""
        return self._slots - self._free

    @property
    def is_ended(self) -> bool:
        """Whether no more hints are taken, ever."""
        return self._is_ended

    def begin(self, now_ms: int) -> Sequence[Action]:
        """Begin to take hints, on a new connection: what was delivered before is not ours."""
        self._forget_hints()
        self._left_over.clear()
        self._is_consuming = False
        self._is_cancelling = False
        return self._consume(now_ms)

    def delivered(self, tag: int, now_ms: int) -> Sequence[Action]:
        """A hint of the group has arrived."""
        self._waiting[tag] = now_ms
        actions = [*self._start(), *self._release()]
        self._was_full |= self._free > 0 and self._unacknowledged >= self._prefetch
        return actions

    def delivered_sticky(self, tag: int) -> Sequence[Action]:
        """A hint that prefers this process has arrived."""
        if self._free == 0:
            return [PassOn(tag)]
        self._free -= 1
        return [Start(tag, is_sticky=True)]

    def answered(self, tag: int, now_ms: int) -> Sequence[Action]:
        """The attempt to acquire the task of a group hint was answered."""
        if tag in self._left_over:
            self._left_over.remove(tag)
            return [Ack(tag)]
        if tag in self._starting:
            self._starting.remove(tag)
            self._running[tag] = now_ms
        return self._release()

    def freed(self, now_ms: int) -> Sequence[Action]:
        """An execution has left its slot."""
        self._free += 1
        assert self._free <= self._slots, "a slot was freed twice"
        return [*self._start(), *self._release(), *self._consume(now_ms)]

    def looked(self, now_ms: int) -> Sequence[Action]:
        """Time has passed."""
        if self._is_cancelling:
            return []
        if not self._is_consuming:
            return self._consume(now_ms)
        if self._is_stuck(now_ms):
            self._window = min(WINDOW_MIN, self._window_max)
        elif not self._has_grown(now_ms):
            return []
        self._is_cancelling = True
        return [Cancel()]

    @property
    def needs_look(self) -> bool:
        """Whether `looked` should be called after a while."""
        may_grow = self._was_full and self._window < self._window_max
        return not self._is_cancelling and (
            self._unacknowledged > 0 or (self._is_consuming and (may_grow or self._is_too_small()))
        )

    def cancelled(self, now_ms: int) -> Sequence[Action]:
        """No more hints of the group arrive: settle those that are here."""
        actions: list[Action] = [Ack(tag) for tag in self._running]
        actions += (Requeue(tag) for tag in self._waiting)
        self._left_over |= self._starting  # acknowledged when the attempts are answered
        self._forget_hints()
        self._is_consuming = False
        self._is_cancelling = False
        return [*actions, *self._consume(now_ms)]

    def end(self) -> Sequence[Action]:
        """The consumer was stopped for good."""
        self._is_ended = True
        return self.cancelled(0)

    @property
    def _unacknowledged(self) -> int:
        return len(self._waiting) + len(self._starting) + len(self._running)

    def _forget_hints(self) -> None:
        self._waiting.clear()
        self._starting.clear()
        self._running.clear()

    def _start(self) -> list[Action]:
        """Give free slots to the hints that wait, oldest first."""
        actions: list[Action] = []
        while self._waiting and self._free and not (self._is_cancelling or self._is_ended):
            tag = _take_first(self._waiting)
            self._starting.add(tag)
            self._free -= 1
            actions.append(Start(tag, is_sticky=False))
        return actions

    def _release(self) -> list[Action]:
        """Acknowledge running hints, oldest first, but keep the broker from delivering too much."""
        actions: list[Action] = []
        keep = max(0, self._prefetch - self._free) if self._is_consuming else 0
        while self._running and self._unacknowledged > keep:
            actions.append(Ack(_take_first(self._running)))
        return actions

    def _consume(self, now_ms: int) -> list[Action]:
        if self._is_consuming or self._is_cancelling or self._is_ended or self._free == 0:
            return []
        self._is_consuming = True
        self._consuming_since_ms = now_ms
        self._was_full = False
        self._prefetch = min(self._free, self._window)
        return [Consume(self._prefetch)]

    def _is_stuck(self, now_ms: int) -> bool:
        """Whether a hint has waited here too long, for its acknowledgement or for a slot."""
        withheld_since_ms = next(iter(self._running.values()), now_ms)
        waiting_since_ms = next(iter(self._waiting.values()), now_ms)
        return (
            now_ms - withheld_since_ms >= WITHHELD_MS_MAX
            or now_ms - waiting_since_ms >= UNSTARTED_MS_MAX
        )

    def _has_grown(self, now_ms: int) -> bool:
        """Whether to consume again with a larger prefetch."""
        if now_ms - self._consuming_since_ms < GROW_MS:
            return False
        if self._was_full:
            self._window = min(self._window * WINDOW_GROWTH, self._window_max)
            self._was_full = False
        return self._is_too_small()

    def _is_too_small(self) -> bool:
        """Whether much more could be taken than the prefetch lets through."""
        return min(self._free, self._window) >= 2 * self._prefetch


def _take_first(tags: dict[int, int]) -> int:
    tag = next(iter(tags))
    del tags[tag]
    return tag
