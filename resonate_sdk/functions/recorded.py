"""Chance and time for durable functions: drawn once, recorded, the same at every replay."""

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from resonate_sdk.functions.ops import Call

T = TypeVar("T")

Record = Callable[[str, Callable[[], Any], Any], Call[Any]]
RANDOM_DEPENDENCY = "resonate:random"
TIME_DEPENDENCY = "resonate:time"


class RandomOps:
    """Random numbers, each recorded as a small promise of its own."""

    def __init__(self, record: Record, source: Any) -> None:
        """Made by the context.

        Args:
            record: makes the call that records a value: its name, what draws it, its type.
            source: draws them; None for the operating system's.
        """
        self._record = record
        self._source: random.Random = source or random.SystemRandom()

    def random(self) -> Call[float]:
        """Draw from 0 up to, but not including, 1."""
        return self._record("random.random", self._source.random, float)

    def randint(self, a: int, b: int) -> Call[int]:
        """Draw an integer from `a` to `b`, both included."""
        return self._record("random.randint", lambda: self._source.randint(a, b), int)

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> Call[int]:
        """Draw from `range(start, stop, step)`."""
        return self._record(
            "random.randrange", lambda: self._source.randrange(start, stop, step), int
        )

    def choice(self, seq: Sequence[T]) -> Call[T]:
        """Draw one of several values, which can be stored."""
        return self._record("random.choice", lambda: self._source.choice(seq), Any)

    def choices(self, seq: Sequence[T], *, k: int = 1) -> Call[list[T]]:
        """Draw `k` values, each of all."""
        return self._record("random.choices", lambda: self._source.choices(seq, k=k), Any)

    def sample(self, seq: Sequence[T], k: int) -> Call[list[T]]:
        """Draw `k` different values."""
        return self._record("random.sample", lambda: self._source.sample(seq, k), Any)

    def getrandbits(self, k: int) -> Call[int]:
        """Draw an integer of `k` bits."""
        return self._record("random.getrandbits", lambda: self._source.getrandbits(k), int)

    def uniform(self, a: float, b: float) -> Call[float]:
        """Draw a float from `a` to `b`."""
        return self._record("random.uniform", lambda: self._source.uniform(a, b), float)

    def triangular(self, low: float = 0.0, high: float = 1.0, mode: float | None = None) -> Call[float]:  # fmt: skip
        """Draw a float from `low` to `high`, most often near `mode`."""
        return self._record(
            "random.triangular", lambda: self._source.triangular(low, high, mode), float
        )

    def betavariate(self, a: float, b: float) -> Call[float]:
        """Draw from the beta distribution."""
        return self._record("random.betavariate", lambda: self._source.betavariate(a, b), float)

    def expovariate(self, lambd: float) -> Call[float]:
        """Draw from the exponential distribution with mean `1 / lambd`."""
        return self._record("random.expovariate", lambda: self._source.expovariate(lambd), float)


class TimeOps:
    """The clock, read once and recorded."""

    def __init__(self, record: Record, source: Any) -> None:
        """Made by the context.

        Args:
            record: makes the call that records a value.
            source: has `time()` and `strftime(format)`; None for the clock of the process.
        """
        self._record = record
        self._source: Any = source or time

    def time(self) -> Call[float]:
        """Seconds since the epoch."""
        return self._record("time.time", self._source.time, float)

    def strftime(self, format: str) -> Call[str]:
        """The local time as text, in the format of the standard library."""
        return self._record("time.strftime", lambda: self._source.strftime(format), str)

    def now(self) -> Call[datetime]:
        """The instant, in UTC."""
        return self._record(
            "time.now", lambda: datetime.fromtimestamp(self._source.time(), UTC), datetime
        )
