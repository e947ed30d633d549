"""What the client programs of all peers share. Standard library only: each runs in an environment of its own.

Orders come as lines of JSON, results leave as lines of JSON: how long a round took, and each call in it.
A round is measured as the benchmark measures its own: so many calls under way at a time, for so long;
those that have not ended by then are waited for and do not count.
"""

import asyncio
import json
import queue
import sys
import threading
import time
from collections.abc import Awaitable, Callable

Round = tuple[float, list[float], int]
"""Seconds, the calls that ended in them, and how many there were with those that ended later."""


def ready(about: str = "") -> None:
    """Tell the benchmark that this process can be used."""
    print(f"ready {about}".strip(), flush=True)


def serve(about: str, measure: Callable[[str, int, float], Round]) -> None:
    """Carry out orders until there are no more."""
    ready(about)
    for line in sys.stdin:
        order = json.loads(line)
        seconds, latencies_ms, calls = measure(
            order["workload"], order["in_flight"], order["seconds"]
        )
        result = {"seconds": seconds, "latencies_ms": latencies_ms, "calls": calls}
        print(json.dumps(result), flush=True)


def with_threads(call: Callable[[], object], in_flight: int, seconds: float) -> Round:
    """Measure calls that block, each on a thread."""
    ended: queue.SimpleQueue[float | BaseException] = queue.SimpleQueue()
    begun_at = time.perf_counter()
    is_over = threading.Event()

    def keep_calling() -> None:
        while not is_over.is_set():
            started_at = time.perf_counter()
            try:
                call()
            except BaseException as error:  # noqa: BLE001  # raised where the round is measured
                ended.put(error)
                return
            ended.put(1000 * (time.perf_counter() - started_at))

    threads = [threading.Thread(target=keep_calling, daemon=True) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    latencies_ms: list[float] = []
    while time.perf_counter() - begun_at < seconds:
        one = ended.get()
        if isinstance(one, BaseException):
            raise one
        latencies_ms.append(one)
    elapsed = time.perf_counter() - begun_at
    is_over.set()
    for thread in threads:
        thread.join()
    return elapsed, latencies_ms, len(latencies_ms) + ended.qsize()


async def with_coroutines(
    call: Callable[[], Awaitable[object]], in_flight: int, seconds: float
) -> Round:
    """Measure calls that are awaited."""
    ended: asyncio.Queue[float] = asyncio.Queue()
    begun_at = time.perf_counter()
    is_over = asyncio.Event()

    async def keep_calling() -> None:
        while not is_over.is_set():
            started_at = time.perf_counter()
            await call()
            ended.put_nowait(1000 * (time.perf_counter() - started_at))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(keep_calling())
        latencies_ms: list[float] = []
        while time.perf_counter() - begun_at < seconds:
            latencies_ms.append(await ended.get())
        elapsed = time.perf_counter() - begun_at
        is_over.set()
    return elapsed, latencies_ms, len(latencies_ms) + ended.qsize()
