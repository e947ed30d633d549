"""Retry policies: how long to wait before a failed function is run again.

`next(attempt)` is the delay in seconds after that many failed attempts, and before the first one
none; None means that no further attempt is made. Attempts are counted in memory: after a crash of
the process counting starts anew.
"""

import random
from typing import Protocol

from msgspec import Struct


class RetryPolicy(Protocol):
    """Decides when a failed function is run again."""

    def next(self, attempt: int) -> float | None:
        """Seconds before the next attempt; None to give up."""
        ...


class Never(Struct, frozen=True, tag_field="type", tag="never", rename="camel"):
    """Do not try again.

    Example:
        >>> Never().next(1) is None
        True
    """

    def next(self, attempt: int) -> float | None:
        """Give up at once."""
        return None


class Constant(Struct, frozen=True, tag_field="type", tag="constant", rename="camel"):
    """Wait equally long each time.

    Attributes:
        delay: seconds.
        max_retries: give up after so many; None never.

    Example:
        >>> [Constant(5, max_retries=2).next(failed) for failed in range(4)]
        [0.0, 5, 5, None]
    """

    delay: float = 1.0
    max_retries: int | None = None

    def next(self, attempt: int) -> float | None:
        """`delay`, while retries are left."""
        if _is_used_up(attempt, self.max_retries):
            return None
        return self.delay if attempt else 0.0


class Linear(Struct, frozen=True, tag_field="type", tag="linear", rename="camel"):
    """Wait `delay` seconds longer each time.

    Attributes:
        delay: seconds before the first retry, and what each further one adds.
        max_retries: give up after so many; None never.

    Example:
        >>> [Linear(5, max_retries=2).next(failed) for failed in range(4)]
        [0, 5, 10, None]
    """

    delay: float = 1.0
    max_retries: int | None = None

    def next(self, attempt: int) -> float | None:
        """`delay · attempt`, while retries are left."""
        return None if _is_used_up(attempt, self.max_retries) else self.delay * attempt


class Exponential(Struct, frozen=True, tag_field="type", tag="exponential", rename="camel"):
    """Wait `factor` times longer each time, up to `max_delay`.

    Attributes:
        delay: seconds that the powers of `factor` are multiplied with.
        factor: growth per retry.
        max_delay: longest wait in seconds.
        max_retries: give up after so many; None never.
        jitter: the wait is up to this fraction of it shorter or longer, at random.

    Example:
        >>> [Exponential(1, factor=2, max_delay=8).next(failed) for failed in range(6)]
        [0.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    """

    delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 30.0
    max_retries: int | None = None
    jitter: float = 0.0

    def next(self, attempt: int) -> float | None:
        """`min(delay · factor ** attempt, max_delay)`, while retries are left."""
        if _is_used_up(attempt, self.max_retries):
            return None
        if attempt == 0:
            return 0.0
        try:
            wait = min(self.delay * self.factor**attempt, self.max_delay)
        except OverflowError:
            wait = self.max_delay
        return wait * (1 + random.SystemRandom().uniform(-self.jitter, self.jitter))


Storable = Never | Constant | Linear | Exponential
"""The policies that can be told to others, who run what they are called for."""


def _is_used_up(attempt: int, max_retries: int | None) -> bool:
    return max_retries is not None and attempt > max_retries
