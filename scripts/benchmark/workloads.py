"""What is measured."""

import itertools
import queue
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from msgspec import Struct

from resonate_sdk import Resonate
from resonate_sdk.client.handle import Handle
from scripts.benchmark.cluster import WORKER_GROUP
from scripts.benchmark.rows import Timing

CALL_TIMEOUT_S = 300

Begin = Callable[[Resonate, str], Handle[Any]]


class Workload(Struct, frozen=True):
    """Calls of one kind.

    Attributes:
        meaning: for people.
        begin: starts one, with an id of its own.
        operations: what a call counts for.
        in_flight: how many are under way at a time, one row each.
    """

    meaning: str
    begin: Begin
    operations: int
    in_flight: tuple[int, ...]


def _call(
    client: Resonate, id: str, *, group: str, function: str, args: tuple[Any, ...]
) -> Handle[Any]:
    return client.options(target=group).begin_rpc(id, function, *args)


def calls(function: str, *args: Any, group: str = WORKER_GROUP) -> Begin:
    """Begin calls of a function of the workers."""
    return partial(_call, group=group, function=function, args=args)


WORKLOADS = {
    "W1": Workload("no-op calls of another process", calls("noop"), 1, (1, 100, 1_000)),
    "W2": Workload("a workflow of 10 local steps; per step", calls("steps", 10), 10, (1, 100)),
    "W3": Workload("100 remote children, joined; per child", calls("fan_out", 100), 100, (1, 10)),
    "W4": Workload("fib(10) by 177 remote calls; per call", calls("fibonacci", 10), 177, (1,)),
}

# The same work in larger and larger workflows: what a step or a child costs must not grow with it.
GROWTH_SIZES = (10, 100, 1_000, 10_000)
GROWTH_UNITS = 2_000  # steps or children of all workflows of one size, at least
GROWTH = {
    f"{name} of {size:,}": Workload(meaning, calls(function, size), size, (1,))
    for name, meaning, function in (
        ("W2", "local steps of one workflow", "steps"),
        ("W3", "remote children of one workflow", "fan_out"),
    )
    for size in GROWTH_SIZES
}


def repeat(client: Resonate, begin: Begin, in_flight: int, seconds: float) -> Timing:
    """Make calls for a while, `in_flight` at a time."""
    begun = _Calls(client, begin)
    begun_at = time.perf_counter()
    latencies_ms: list[float] = []
    for _ in range(in_flight):
        begun.start()
    while time.perf_counter() - begun_at < seconds:
        latencies_ms.append(begun.wait_ms())
        begun.start()
    elapsed = time.perf_counter() - begun_at
    for _ in range(in_flight):
        begun.wait_ms()
    return Timing(elapsed, latencies_ms, len(latencies_ms) + in_flight)


def make(client: Resonate, begin: Begin, in_flight: int, count: int) -> Timing:
    """Make so many calls, `in_flight` at a time, and wait until the last has ended."""
    begun = _Calls(client, begin)
    begun_at = time.perf_counter()
    latencies_ms: list[float] = []
    for number in range(count):
        if number >= in_flight:
            latencies_ms.append(begun.wait_ms())
        begun.start()
    while len(latencies_ms) < count:
        latencies_ms.append(begun.wait_ms())
    return Timing(time.perf_counter() - begun_at, latencies_ms, count)


def drain(client: Resonate, begin: Begin, count: int) -> Timing:
    """Make all calls at once, and wait until the last has ended."""
    return make(client, begin, count, count)


class _Calls:
    def __init__(self, client: Resonate, begin: Begin) -> None:
        self._client = client
        self._begin = begin
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._ended: queue.SimpleQueue[float | BaseException] = queue.SimpleQueue()

    def start(self) -> None:
        started_at = time.perf_counter()

        def done(future: Future[Any]) -> None:
            self._ended.put(future.exception() or time.perf_counter() - started_at)

        handle = self._begin(self._client, f"{self._prefix}-{next(self._numbers)}")
        handle.future.add_done_callback(done)

    def wait_ms(self) -> float:
        """Wait until one more has ended; how long it took."""
        ended = self._ended.get(timeout=CALL_TIMEOUT_S)
        if isinstance(ended, BaseException):
            raise ended
        return ended * 1000
