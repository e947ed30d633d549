"""What is measured."""

import itertools
import queue
import secrets
import statistics
import time
from concurrent.futures import Future
from typing import Any

from msgspec import Struct

from resonate_sdk import Resonate
from scripts.benchmark.cluster import WORKER_GROUP


class Row(Struct, frozen=True, kw_only=True):
    """One measurement.

    Attributes:
        workload: its name.
        in_flight: how many invocations were under way at a time.
        rate_per_s: how many ended per second.
        p50_ms: half of them took no longer, from the call to its result.
        p99_ms: of a hundred, 99 took no longer.
        cpu_us_per_op: CPU time used by each process, per invocation.
    """

    workload: str
    in_flight: int
    rate_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_op: dict[str, float]


class Timing(Struct, frozen=True):
    """Invocations that have ended."""

    seconds: float
    latencies_ms: list[float]


def invoke(client: Resonate, in_flight: int, seconds: float) -> Timing:
    """W1: no-op calls, client to server to worker and back, `in_flight` at a time."""
    target = client.options(target=WORKER_GROUP)
    prefix = secrets.token_hex(4)
    numbers = itertools.count()
    ended: queue.SimpleQueue[float] = queue.SimpleQueue()

    def start() -> None:
        started_at = time.perf_counter()

        def done(_: Future[Any]) -> None:
            ended.put(time.perf_counter() - started_at)

        handle = target.begin_rpc(f"{prefix}-{next(numbers)}", "noop")
        handle.future.add_done_callback(done)

    begun_at = time.perf_counter()
    latencies_ms: list[float] = []
    for _ in range(in_flight):
        start()
    while time.perf_counter() - begun_at < seconds:
        latencies_ms.append(ended.get(timeout=60) * 1000)
        start()
    elapsed = time.perf_counter() - begun_at
    for _ in range(in_flight):
        ended.get(timeout=60)
    return Timing(elapsed, latencies_ms)


def row(workload: str, in_flight: int, timings: list[Timing], cpu_s: dict[str, float]) -> Row:
    """Sum up the rounds of a measurement: the median of their rates, all their latencies."""
    latencies_ms = sorted(itertools.chain.from_iterable(t.latencies_ms for t in timings))
    rates = [len(timing.latencies_ms) / timing.seconds for timing in timings]
    return Row(
        workload=workload,
        in_flight=in_flight,
        rate_per_s=round(statistics.median(rates), 1),
        p50_ms=round(_quantile(latencies_ms, 0.50), 2),
        p99_ms=round(_quantile(latencies_ms, 0.99), 2),
        cpu_us_per_op={
            name: round(seconds * 1e6 / len(latencies_ms), 1) for name, seconds in cpu_s.items()
        },
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
