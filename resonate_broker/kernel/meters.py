"""What a server counts, as plain data: incremented where something happens, read by whoever asks.

Nothing here knows of a monitoring system, and nothing is computed before somebody looks.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from resonate_broker.kernel.submissions import Outgoing
from resonate_store.state import Due, DueSchedules

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Histogram:
    """How often values were of which magnitude.

    Attributes:
        bounds: ascending; a value belongs to the first one that it does not exceed.
        counts: of values per bound, and of those beyond all bounds.
        sum: of all values.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Have seen no value."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Meters:
    """All counts of one server, since its start.

    Attributes:
        requests: that were answered, by kind and status.
        batches: transactions, by what became of them.
        batch_sizes: members of those that were committed.
        load_s: how long it took until the rows of a batch were locked and read.
        decide_s: how long the locks were held until it was known what to write.
        commit_s: how long it took to write and commit that.
        read_s: how long reads beside the batches took.
        conflicts: transactions that lost against others, by the name of the error.
        outages: how often the database was found to be away.
        transitions: of promises and tasks, durable ones only.
        sent: messages by what they are, and whether they had been sent before.
        owed: news that were handed over and are not known to have arrived.
        malformed: requests that could not be read.
        events_told: that the broker has confirmed.
        dead_letters: messages that were put aside for an operator.
        addresses_refused: reply addresses to which we do not write.
        sessions: connections to the broker that were opened.
        sessions_failed: that could not be opened, or were lost.
        timer_lag_ms: how late the most overdue timer of the last look was.
        schedule_lag_ms: how late the most overdue schedule of the last look was.
        ticks: of the kernel.
        busy_s: how long they took.
    """

    __slots__ = (
        "addresses_refused",
        "batch_sizes",
        "batches",
        "busy_s",
        "commit_s",
        "conflicts",
        "dead_letters",
        "decide_s",
        "events_told",
        "load_s",
        "malformed",
        "outages",
        "owed",
        "read_s",
        "requests",
        "schedule_lag_ms",
        "sent",
        "sessions",
        "sessions_failed",
        "ticks",
        "timer_lag_ms",
        "transitions",
    )

    def __init__(self) -> None:
        """Begin at zero."""
        self.requests = defaultdict[tuple[str, int], int](int)
        self.batches = defaultdict[str, int](int)
        self.batch_sizes = Histogram(SIZES)
        self.load_s = Histogram(SECONDS)
        self.decide_s = Histogram(SECONDS)
        self.commit_s = Histogram(SECONDS)
        self.read_s = Histogram(SECONDS)
        self.conflicts = defaultdict[str, int](int)
        self.outages = 0
        self.transitions = defaultdict[str, int](int)
        self.sent = defaultdict[tuple[str, str], int](int)
        self.owed = 0
        self.events_told = 0
        self.malformed = 0
        self.dead_letters = 0
        self.addresses_refused = 0
        self.sessions = 0
        self.sessions_failed = 0
        self.timer_lag_ms = 0
        self.schedule_lag_ms = 0
        self.ticks = 0
        self.busy_s = 0.0

    def committed(self, size: int, tally: Mapping[str, int], outgoing: Iterable[Outgoing]) -> None:
        """Count a durable batch: its members, what changed in it, and what it sends."""
        self.batches["committed"] += 1
        self.batch_sizes.observe(size)
        for transition, count in tally.items():
            self.transitions[transition] += count
        for message in outgoing:
            again = "again" if message.message.head.attempt else "first"
            self.sent[_kind_of(message), again] += 1

    def looked(self, due: Due | DueSchedules) -> None:
        """Note how late a look at what is due has come; the earliest is the first."""
        if isinstance(due, Due):
            lag_ms = due.now_ms - due.timers[0].due_at_ms if due.timers else 0
            self.timer_lag_ms = max(0, lag_ms)
        else:
            lag_ms = due.now_ms - due.schedules[0].next_run_at_ms if due.schedules else 0
            self.schedule_lag_ms = max(0, lag_ms)


def _kind_of(outgoing: Outgoing) -> str:
    if outgoing.listener is not None:
        return "news"
    return "call" if outgoing.is_call else "hint"
