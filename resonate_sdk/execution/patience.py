"""When a pass that waits for others may stand still: what an event loop alone knows is given time."""

from resonate_sdk.execution.effects import StartTimer, TimerFired
from resonate_sdk.execution.outbox import Outbox

SUSPEND_GRACE_S = 0.02


class Patience:
    """A grace for coroutines that wait for something else than their calls."""

    def __init__(self, outbox: Outbox) -> None:
        """None is given yet.

        Args:
            outbox: asked for a timer.
        """
        self._outbox = outbox
        self._moves = 0  # events, and how many there were when the grace began
        self._moves_at_grace = -1
        self._timer = 0

    def ends_by(self, event: object) -> bool:
        """Take note of an event; whether it says no more than that the grace is over."""
        if isinstance(event, TimerFired) and event.number == self._timer:
            self._timer = 0
            return True
        self._moves += 1
        return False

    @property
    def is_asked(self) -> bool:
        """Whether a grace has begun."""
        return bool(self._timer)

    @property
    def is_over(self) -> bool:
        """Whether a grace has passed in which nothing has moved."""
        return not self._timer and self._moves_at_grace == self._moves

    def wakes(self) -> None:
        """The pass was suspended and goes on: a grace that it was given then is over."""
        self._timer = 0

    def ask(self) -> None:
        """Wait a moment for something to move."""
        self._moves_at_grace = self._moves
        self._timer = self._outbox.number()
        self._outbox.tell(StartTimer(self._timer, SUSPEND_GRACE_S))
