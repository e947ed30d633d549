"""What a program is told of its executions while they run."""

import logging
from collections.abc import Callable
from typing import Literal, get_args

from msgspec import Struct

from resonate_sdk.errors import UsageError

logger = logging.getLogger(__name__)

Occasion = Literal[
    "pass_start",
    "pass_end",
    "suspend",
    "child_create",
    "child_settle",
    "retry",
    "fence_lost",
    "poison",
]
OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)


class Happening(Struct, frozen=True, kw_only=True):
    """Something that has happened to an execution in this process.

    Attributes:
        occasion: what: a pass (one run of a function from its first line) has begun or ended, or
            waits for others; it has created or settled the promise of a call; a function has failed
            and will be tried again; the task was lost to another process; it was halted, since it
            has failed too often for reasons that are not its function's.
        id: of the promise that it is about.
        origin_id: of the root of its tree, the same in all processes: what traces are named after.
        parent_id: of the promise whose function has made it.
        func: name of the function; empty for promises without one.
        at_ms: when, epoch ms.
        state: how a pass (`done`, `suspended`, `failed`, `given up`) or a promise has ended.
        attempt: how often it was tried, 1 at the first failure.
        delay_s: seconds until the next attempt.
        awaited: promises that a suspended pass waits for.
        error: what went wrong.
    """

    occasion: Occasion
    id: str
    origin_id: str
    parent_id: str = ""
    func: str = ""
    at_ms: int
    state: str = ""
    attempt: int = 0
    delay_s: float = 0.0
    awaited: tuple[str, ...] = ()
    error: BaseException | None = None


Hook = Callable[[Happening], None]


class Hooks:
    """Functions of a program, by what they are told of."""

    def __init__(self) -> None:
        """Nobody is told of anything."""
        self._by_occasion: dict[Occasion, list[Hook]] = {}

    def __bool__(self) -> bool:
        """Whether anybody is."""
        return bool(self._by_occasion)

    def add(self, occasion: Occasion, hook: Hook) -> None:
        """Tell a function of something from now on.

        Raises:
            UsageError: that never happens.
        """
        if occasion not in OCCASIONS:
            raise UsageError(f"{occasion!r} never happens, these do: {', '.join(OCCASIONS)}")
        self._by_occasion.setdefault(occasion, []).append(hook)

    def tell(self, happening: Happening) -> None:
        """Tell everybody who wants to know; their errors change nothing."""
        for hook in self._by_occasion.get(happening.occasion, ()):
            try:
                hook(happening)
            except Exception:  # a broken hook of the user's must not break the execution
                logger.exception(
                    "hook failed occasion=%s promise_id=%s", happening.occasion, happening.id
                )
