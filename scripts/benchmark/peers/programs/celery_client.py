"""The client of Celery: one thread that publishes, and takes results as they come.

With `rpc://` the results are messages. In PostgreSQL they are rows, which Celery's own `get()` asks for one
by one, twice a second; here they are asked for together, every few milliseconds, which is faster.
"""

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import celery
import psycopg
from celery import chain, group
from celery_tasks import app, noop, step
from loops import Round, serve

CHILDREN = 100
STEPS = 10
POLL_S = 0.003
FINISHED = "select task_id from celery_taskmeta where task_id = any(%s) and status = 'SUCCESS'"

Begin = Callable[[], Iterable[Any]]


def one() -> Iterable[Any]:
    """A call."""
    return (noop.apply_async(),)


def steps() -> Iterable[Any]:
    """One task after the other; the last one's result is the end."""
    return (chain(*(step.si() for _ in range(STEPS))).apply_async(),)


def fan_out() -> Iterable[Any]:
    """Many tasks at the same time; who began them joins them."""
    return group(step.s() for _ in range(CHILDREN)).apply_async().results


WORKLOADS: dict[str, Begin] = {"W1": one, "W2": steps, "W3": fan_out}


class Calls:
    """Calls under way, and how many of the results of each have not come."""

    def __init__(self) -> None:
        self.latencies_ms: list[float] = []
        self._calls: dict[str, list[Any]] = {}

    def begin(self, begin: Begin) -> list[Any]:
        """Begin one; what it waits for."""
        call = [time.perf_counter(), 0]
        results = list(begin())
        call[1] = len(results)
        for result in results:
            self._calls[result.id] = call
        return results

    def ended(self, id: str) -> None:
        """A result has come."""
        call = self._calls.pop(id)
        call[1] -= 1
        if call[1] == 0:
            self.latencies_ms.append(1000 * (time.perf_counter() - call[0]))

    def waiting(self) -> list[str]:
        """Whose results have not come."""
        return list(self._calls)


def measure(workload: str, in_flight: int, seconds: float) -> Round:
    """Measure one round."""
    is_rpc = app.conf.result_backend.startswith("rpc")
    return (with_messages if is_rpc else with_rows)(WORKLOADS[workload], in_flight, seconds)


def with_messages(begin: Begin, in_flight: int, seconds: float) -> Round:
    """Results are messages to this process."""
    calls = Calls()

    def start() -> None:
        for result in calls.begin(begin):
            result.then(lambda ended: calls.ended(ended.id))

    def wait() -> None:
        app.backend.result_consumer.drain_events(timeout=60)

    return _measure(calls, start, wait, in_flight, seconds)


def with_rows(begin: Begin, in_flight: int, seconds: float) -> Round:
    """Results are rows."""
    calls = Calls()
    with psycopg.connect(os.environ["BENCH_DATABASE_URL"], autocommit=True) as connection:

        def wait() -> None:
            found = connection.execute(FINISHED, (calls.waiting(),)).fetchall()
            for (id,) in found:
                calls.ended(id)
            if not found:
                time.sleep(POLL_S)

        return _measure(calls, lambda: calls.begin(begin), wait, in_flight, seconds)


def _measure(
    calls: Calls,
    start: Callable[[], object],
    wait: Callable[[], None],
    in_flight: int,
    seconds: float,
) -> Round:
    for _ in range(in_flight):
        start()
    begun, begun_at = in_flight, time.perf_counter()  # to publish so many takes it a while
    while True:
        wait()
        elapsed = time.perf_counter() - begun_at
        if elapsed >= seconds and calls.latencies_ms:
            break
        while begun - len(calls.latencies_ms) < in_flight:
            start()
            begun += 1
    latencies_ms = list(calls.latencies_ms)
    while len(calls.latencies_ms) < begun:
        wait()
    return elapsed, latencies_ms, begun


if __name__ == "__main__":
    serve(f"Celery {celery.__version__}", measure)
