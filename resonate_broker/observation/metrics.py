"""The counts of a server in the form that Prometheus reads, made when somebody asks for them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from resonate_broker.kernel.meters import Histogram, Meters
from resonate_broker.observation.health import problems
from resonate_broker.observation.subject import Subject
from resonate_sdk.probes.families import counter, counters, gauge, gauges, version
from resonate_sdk.probes.port import OK

GROUPS_MAX = 1_000  # that have series of their own

# All that may be counted: a rate needs to see the zero before the first one.
SETTLED = ("resolved", "rejected", "rejected_canceled", "rejected_timedout")
BATCHES = ("committed", "aborted", "rejected", "unknown", "again", "crashed")
SENT = tuple((kind, again) for kind in ("hint", "call", "news") for again in ("first", "again"))


class ServerCollector(Collector):
    """Reads a server whenever it is asked."""

    def __init__(self, subject: Subject) -> None:
        """Look at a server."""
        self._subject = subject
        self._version = version()

    def collect(self) -> Iterable[Metric]:
        """Read everything."""
        subject = self._subject
        labels = {"version": self._version, "namespace": subject.namespace}
        yield InfoMetricFamily("resonate_server", "Which server this is.", value=labels)
        yield from _requests(subject.system.meters)
        yield from _batches(subject.system.meters)
        yield from _transitions(subject.system.meters)
        yield from _depths(subject)
        yield from _groups(subject)
        yield from _backlog(subject)
        yield from _connections(subject)
        yield from _lags(subject)


def _requests(meters: Meters) -> Iterator[Metric]:
    answered = {(kind, str(status)): n for (kind, status), n in meters.requests.items()}
    yield counters("requests", "Requests that were answered.", ("kind", "status"), answered)
    yield counter("requests_malformed", "Requests that could not be read.", meters.malformed)
    yield counter("dead_letters", "Messages put aside for an operator.", meters.dead_letters)
    yield counter(
        "reply_addresses_refused",
        "Reply addresses that were not those of clients.",
        meters.addresses_refused,
    )


def _batches(meters: Meters) -> Iterator[Metric]:
    batches = {(outcome,): meters.batches.get(outcome, 0) for outcome in BATCHES}
    yield counters("batches", "Transactions, by what became of them.", ("outcome",), batches)
    yield _histogram("batch_size", "Members of committed batches.", {(): meters.batch_sizes})
    yield _histogram(
        "batch_step_seconds",
        "Steps of a batch: load locks and reads, decide holds the locks, commit writes.",
        {("load",): meters.load_s, ("decide",): meters.decide_s, ("commit",): meters.commit_s},
        ("step",),
    )
    yield _histogram(
        "store_read_seconds", "Reads of the database beside the batches.", {(): meters.read_s}
    )
    conflicts = {(name,): count for name, count in meters.conflicts.items()}
    yield counters("store_conflicts", "Transactions lost against others.", ("error",), conflicts)
    yield counter("store_outages", "Times that the database was away.", meters.outages)


def _transitions(meters: Meters) -> Iterator[Metric]:
    counts = meters.transitions
    yield counter("promises_created", "Promises that were created.", counts["created"])
    settled = {(state,): counts[state] for state in SETTLED}
    yield counters("promises_settled", "Promises that were settled.", ("state",), settled)
    yield counter("tasks_acquired", "Tasks that were acquired.", counts["acquired"])
    text = "Tasks that were suspended: their executions wait for others."
    yield counter("tasks_suspended", text, counts["suspended"])
    text = "Tasks whose lease ran out: their holders were not heard."
    yield counter("tasks_lost", text, counts["lost"])
    sent = {pair: meters.sent.get(pair, 0) for pair in SENT}
    text = "Messages handed over, and whether they had been sent before."
    yield counters("messages_sent", text, ("kind", "attempt"), sent)
    yield gauge("listeners_owed", "News handed over and not known to have arrived.", meters.owed)


def _depths(subject: Subject) -> Iterator[Metric]:
    depths = {(queue,): depth for queue, depth in subject.system.depths.items()}
    depths["deliveries",] = subject.api.waiting
    yield gauges("waiting", "What waits inside the server, by queue.", ("queue",), depths)


def _groups(subject: Subject) -> Iterator[Metric]:
    windows = dict(subject.windows.latest(GROUPS_MAX))
    counts = {
        "group_hints": "Hints that the broker holds for a group, as far as is known.",
        "group_hints_ready": "Hints that no worker had when the queue was last counted.",
        "group_consumers": "Consumers of the queue of a group when it was last counted.",
        "group_queued": "Whether tasks of a group wait for room among its hints.",
    }
    values = {
        "group_hints": {(name,): window.held for name, window in windows.items()},
        "group_hints_ready": {(name,): window.ready for name, window in windows.items()},
        "group_consumers": {(name,): window.consumers for name, window in windows.items()},
        "group_queued": {(name,): int(window.has_queued) for name, window in windows.items()},
    }
    for name, text in counts.items():
        yield gauges(name, text, ("group",), values[name])


def _backlog(subject: Subject) -> Iterator[Metric]:
    """What every server sees alike, since it is in the database."""
    text = "Events that were published and confirmed."
    yield counter("events_published", text, subject.system.meters.events_told)
    backlog = subject.backlog.latest
    events, oldest, inbox, refused = {}, {}, {}, {}
    places: dict[tuple[str, ...], float] = {}
    taken: dict[tuple[str, ...], float] = {}
    if backlog is not None:
        oldest_at_ms = backlog.oldest_event_at_ms
        lag_ms = 0 if oldest_at_ms is None else max(0, backlog.now_ms - oldest_at_ms)
        events, oldest = {(): backlog.events}, {(): lag_ms / 1000}
        inbox, refused = {(): backlog.inbox}, {(): backlog.inbox_refused}
        for group in backlog.groups[:GROUPS_MAX]:
            taken[group.name,] = len(group.held)
            if group.concurrency is not None:
                places[group.name,] = group.concurrency
    yield gauges("events_waiting", "Events that nobody was told, up to 10,000.", (), events)
    yield gauges("events_oldest_seconds", "How long the first of them has waited.", (), oldest)
    text = "Calls that applications have left and no server has taken, up to 10,000."
    yield gauges("inbox_waiting", text, (), inbox)
    text = "Calls of applications of which no promise can be made."
    yield gauges("inbox_refused", text, (), refused)
    text = "Executions that a limited group may have at a time."
    yield gauges("group_places", text, ("group",), places)
    text = "Executions that a limited group has, or is about to have."
    yield gauges("group_places_taken", text, ("group",), taken)


def _connections(subject: Subject) -> Iterator[Metric]:
    meters, under_way = subject.system.meters, subject.messages.under_way
    yield counter("amqp_sessions", "Sessions with RabbitMQ that were opened.", meters.sessions)
    yield counter(
        "amqp_sessions_failed",
        "Sessions with RabbitMQ that were lost, or could not be opened.",
        meters.sessions_failed,
    )
    yield gauge(
        "amqp_unconfirmed_messages",
        "Messages that RabbitMQ has neither confirmed nor refused.",
        under_way.messages,
    )
    yield gauge(
        "amqp_unconfirmed_seconds",
        "How long the oldest of them has waited.",
        under_way.oldest_s,
    )
    yield gauge(
        "amqp_unsent_bytes",
        "Bytes that the connection to RabbitMQ has not taken.",
        under_way.unsent_bytes,
    )
    found = {(part,): int(problem == OK) for part, problem in problems(subject).items()}
    yield gauges("ready", "Whether a part of the server can work.", ("part",), found)
    yield gauge(
        "heartbeats_heard",
        "Whether heartbeats of workers reach the server; while not, no lease runs out.",
        int(subject.guard.heard_since_ms is not None),
    )


def _lags(subject: Subject) -> Iterator[Metric]:
    meters = subject.system.meters
    yield gauge(
        "timer_lag_seconds",
        "How late the most overdue timer of the last look was.",
        meters.timer_lag_ms / 1000,
    )
    yield gauge(
        "schedule_lag_seconds",
        "How late the most overdue schedule of the last look was.",
        meters.schedule_lag_ms / 1000,
    )
    yield counter("kernel_ticks", "Turns of the kernel.", meters.ticks)
    yield counter("kernel_busy_seconds", "How long they took.", meters.busy_s)


def _histogram(
    name: str,
    text: str,
    series: Mapping[tuple[str, ...], Histogram],
    labels: Sequence[str] = (),
) -> Metric:
    family = HistogramMetricFamily(f"resonate_{name}", text, labels=labels)
    for values, histogram in series.items():
        bounds = (*(str(float(bound)) for bound in histogram.bounds), "+Inf")
        buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
        family.add_metric(values, buckets=buckets, sum_value=histogram.sum)
    return family
