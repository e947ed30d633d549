"""A worker as Prometheus and probes see it."""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from resonate_sdk.hooks import OCCASIONS, Happening, Hooks
from resonate_sdk.probes.families import counter, counters, gauge, gauges, version
from resonate_sdk.probes.port import OK, ListenError, listen
from resonate_sdk.transport import Condition

logger = logging.getLogger(__name__)

# All that may be counted: a rate needs to see the zero before the first one.
PASSES = ("done", "suspended", "failed", "given up")
SETTLED = ("resolved", "rejected")

CONNECTED = Condition(trouble=None, is_taking=True, slots=0, in_flight=0, unanswered=0, sessions=0)
"""Of a server inside the process, to which no way can break."""


class WorkerCounts:
    """What the executions of a process have done; its functions tell from several threads."""

    def __init__(self, hooks: Hooks) -> None:
        """Count from now on."""
        self._lock = threading.Lock()
        self._counts = Counter[tuple[str, str]]()
        for occasion in OCCASIONS:
            hooks.add(occasion, self._happened)

    def of(self, occasion: str, state: str = "") -> int:
        """How often something has happened."""
        return self._counts[occasion, state]

    def _happened(self, happening: Happening) -> None:
        with self._lock:
            self._counts[happening.occasion, happening.state] += 1


class ProbedWorker:
    """Answers out of the parts of a worker."""

    def __init__(
        self,
        address: tuple[str, int],
        labels: Mapping[str, str],
        hooks: Hooks,
        condition: Callable[[], Condition],
        held: Callable[[], int],
    ) -> None:
        """Look at a worker, and count what it does from now on.

        Args:
            address: host and port where others ask.
            labels: which one it is.
            hooks: tell what happens to executions.
            condition: how the way to the server is.
            held: how many tasks it holds.
        """
        self._address = address
        self._condition = condition
        self._is_stopping = False
        self.collector: Collector = WorkerCollector(labels, WorkerCounts(hooks), self, held)

    async def serve(self) -> None:
        """Answer until cancelled; if nobody can listen there, say so and leave it at that."""
        host, _ = self._address
        try:
            async with listen(*self._address, self) as port:
                logger.info("probes are answered host=%s port=%d", host, port)
                await asyncio.Event().wait()
        except ListenError as error:
            # What it has to do matters more than who looks on.
            logger.warning("probes are not answered reason=%s", error)

    def stops(self) -> None:
        """The worker takes no more work."""
        self._is_stopping = True

    @property
    def is_alive(self) -> bool:
        """Whether its loop turns, which sends its heartbeats: whoever answers does."""
        return True

    @property
    def condition(self) -> Condition:
        """How the way to the server is now."""
        return self._condition()

    async def look(self) -> None:
        """Everything is known."""

    def problems(self) -> Mapping[str, str]:
        """What stands between the worker and its work."""
        condition = self.condition
        return {
            "worker": "it is shutting down" if self._is_stopping else OK,
            "server": condition.trouble or OK,
            "consumers": OK if condition.is_taking else "the queue of the group is not consumed",
        }


class WorkerCollector(Collector):
    """Reads a worker whenever it is asked."""

    def __init__(
        self,
        labels: Mapping[str, str],
        counts: WorkerCounts,
        probed: ProbedWorker,
        held: Callable[[], int],
    ) -> None:
        """Look at a worker."""
        self._labels = {**labels, "version": version()}
        self._counts = counts
        self._probed = probed
        self._held = held

    def collect(self) -> Iterable[Metric]:
        """Read everything."""
        of, condition = self._counts.of, self._probed.condition
        yield InfoMetricFamily("resonate_worker", "Which worker this is.", value=self._labels)
        passes = {(end,): of("pass_end", end) for end in PASSES}
        yield counters("worker_passes", "Runs of functions, by how they ended.", ("end",), passes)
        yield counter("worker_calls", "Promises of calls that were made.", of("child_create"))
        settled = {(state,): of("child_settle", state) for state in SETTLED}
        text = "Promises of calls that were settled here."
        yield counters("worker_calls_settled", text, ("state",), settled)
        text = "Functions that failed and were, or will be, run again."
        yield counter("worker_retries", text, of("retry"))
        yield counter("worker_tasks_lost", "Tasks lost to other processes.", of("fence_lost"))
        text = "Tasks that were halted because they had failed too often."
        yield counter("worker_tasks_halted", text, of("poison"))
        yield gauge("worker_tasks_held", "Tasks that are kept by heartbeats.", self._held())
        text = "Executions that may be under way at a time."
        yield gauge("worker_slots", text, condition.slots)
        yield gauge("worker_slots_taken", "Executions that are.", condition.in_flight)
        text = "Requests that the server has not answered yet."
        yield gauge("worker_requests_unanswered", text, condition.unanswered)
        text = "Connections to RabbitMQ that were opened."
        yield counter("worker_amqp_sessions", text, condition.sessions)
        ready = {(part,): int(problem == OK) for part, problem in self._probed.problems().items()}
        yield gauges("worker_ready", "Whether a part of the worker can work.", ("part",), ready)
