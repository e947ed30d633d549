"""Virtual time, chance, and the record of what has happened.

Everything that a simulation does is an event at an instant. Events come one after the other, and
every choice is drawn from one generator: so a seed says all.
"""

import hashlib
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import TypeVar

START_MS = 1_700_000_000_000
AT_ONCE_MAX = 10_000

Choice = TypeVar("Choice")


class World:
    """What all parts of one simulation share.

    Attributes:
        now_ms: virtual time, which the clocks of servers and store are compared with.
        ahead_ms: how far the clock of the store is ahead of it.
        random: where every choice comes from.
        trace: what has happened, a line each.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_ms = START_MS
        self.ahead_ms = 0
        self.random = Random(seed)
        self.trace: list[str] = []
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def store_now_ms(self) -> int:
        """What the clock of the store shows."""
        return self.now_ms + self.ahead_ms

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Let something happen later; what is due at one instant happens in this order."""
        self._number += 1
        heappush(self._events, (self.now_ms + delay_ms, self._number, action))

    def run(self, until_ms: int) -> None:
        """Let everything happen that is due until an instant."""
        self.run_while(lambda: True, until_ms)
        self.now_ms = until_ms

    def run_while(self, goes_on: Callable[[], bool], until_ms: int) -> None:
        """Let things happen as long as a condition holds, and no longer than until an instant."""
        at_once = 0
        while goes_on() and self._events and self._events[0][0] <= until_ms:
            at_ms, _, action = heappop(self._events)
            at_once = at_once + 1 if at_ms == self.now_ms else 0
            assert at_once < AT_ONCE_MAX, "time stands still: somebody is busy with nothing"
            self.now_ms = at_ms
            action()

    def note(self, line: str) -> None:
        """Write down what happens."""
        self.trace.append(f"{self.now_ms - START_MS} {line}")

    def digest(self) -> str:
        """A number for the whole trace."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()

    def happens(self, probability: float) -> bool:
        """Toss a coin that falls on this side so often."""
        return probability > 0 and self.random.random() < probability

    def delay(self, ms_max: int) -> int:
        """A delay: mostly short, sometimes up to the maximum."""
        return int(ms_max * self.random.random() ** 3)
