"""When a body may start while its task is being acquired: decisions only, no I/O.

The acquisition of a fresh task is hardly ever refused. If it is, what the body did outside of the
server has been done by somebody who did not hold the task, as after a lost lease: functions run
at least once.
"""

from resonate_sdk.protocol.messages import Hint, Invoke
from resonate_sdk.protocol.records import TaskRef
from resonate_sdk.transport import Arrival

AGE_MS_MAX = 1_000  # the server sends an unanswered hint again after two seconds
AHEAD_MS_MAX = 50  # so far the estimate of the server's clock may be behind it
LEFT_MS_MIN = 1_000
STARTED_MAX = 10_000


def may_overlap(hint: Hint, arrival: Arrival) -> bool:
    """Whether nobody else can have heard of a task, and it is worth while to start at once."""
    task, promise, now_ms = hint.data.task, hint.data.promise, arrival.server_now_ms
    if not isinstance(hint, Invoke) or task.version != 0 or hint.head.attempt != 0:
        return False
    if arrival.is_redelivered or arrival.is_dead_lettered or now_ms is None:
        return False
    if not -AHEAD_MS_MAX <= now_ms - hint.head.sent_at_ms < AGE_MS_MAX:
        return False
    if promise is None or promise.id != task.id or promise.state != "pending":
        return False
    return promise.timeout_at_ms - now_ms > LEFT_MS_MIN


class StartedTasks:
    """The tasks that this process has tried to start lately."""

    def __init__(self, count_max: int = STARTED_MAX) -> None:
        """Know of none; the oldest are forgotten when there are too many."""
        self._count_max = count_max
        self._started: dict[tuple[str, int], None] = {}

    def add(self, task: TaskRef) -> bool:
        """Take note of a start; False if it is not the first at this version."""
        key = (task.id, task.version)
        if key in self._started:
            return False
        if len(self._started) == self._count_max:
            del self._started[next(iter(self._started))]
        self._started[key] = None
        return True
