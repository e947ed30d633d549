"""Local mode: client, server and worker in one process, promises in memory."""

import queue
import secrets
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from resonate_sdk import Context, Resonate
from resonate_sdk.client.handle import Handle
from scripts.benchmark.rows import Row, Timing, sum_up
from scripts.benchmark.worker import step, steps
from scripts.benchmark.workloads import Begin, make, repeat

STEPS_ALONE, STEPS_OF_MANY, MANY = 500, 20, 100
REPLAYED = 10_000
JOINED = (1_000, 10_000)
WARM_UP_S = 1.0
WAIT_SECONDS_MAX = 60


def generator_step(ctx: Context) -> Generator[Any, Any, int]:
    """Do as good as nothing, as a generator: such a function is never called on another thread."""
    return 1
    yield


def generator_steps(ctx: Context, count: int) -> Generator[Any, Any, int]:
    """Take such steps, one after the other."""
    taken = 0
    for _ in range(count):
        taken += yield ctx.run(generator_step)
    return taken


def join(ctx: Context, count: int) -> Generator[Any, Any, int]:
    """Begin as many steps at the same time, and join them."""
    children: list[Any] = []
    for _ in range(count):
        children.append((yield ctx.begin_run(step)))
    joined = 0
    for child in children:
        joined += yield child
    return joined


def steps_and_answer(ctx: Context, count: int, answer_id: str) -> Generator[Any, Any, int]:
    """Take steps, then wait for somebody; when he answers, all of them are replayed."""
    taken = yield from steps(ctx, count)
    promise = yield ctx.promise(id=answer_id)
    return taken + (yield promise)


def measure_local(rounds: int, seconds: float) -> Iterator[Row]:
    """Measure steps one after the other, steps of many workflows, joins, and replays."""
    with Resonate.local(cache_size=0) as client:
        for function in (steps, generator_steps, join, steps_and_answer):
            client.register(function)
        for name, function in (("local steps", steps), ("local generators", generator_steps)):
            for in_flight, count in ((1, STEPS_ALONE), (MANY, STEPS_OF_MANY)):
                begin = _runs(function, count)
                repeat(client, begin, in_flight, WARM_UP_S)
                one = partial(_with_cpu, repeat, client, begin, in_flight, seconds)
                yield _row(name, in_flight, count, rounds, one)
        for count in JOINED:
            one = partial(_with_cpu, make, client, _runs(join, count), 1, JOINED[-1] // count)
            yield _row(f"local join of {count:,}", 1, count, 1, one)
        yield _row(f"local replay of {REPLAYED:,}", 1, REPLAYED, rounds, _Replays(client).measure)


class _Replays:
    """Executions that have taken steps and sleep, of which no worker remembers anything."""

    def __init__(self, client: Resonate) -> None:
        self._client = client
        self._asleep: queue.SimpleQueue[str] = queue.SimpleQueue()
        client.on("suspend", lambda happening: self._asleep.put(happening.id))

    def measure(self) -> tuple[Timing, float]:
        """How long it takes from the answer to the end, and the CPU time of that."""
        id = f"replay-{secrets.token_hex(4)}"
        answer_id = f"{id}-answer"
        handle = self._client.begin_run(id, steps_and_answer, REPLAYED, answer_id)
        self._asleep.get(timeout=WAIT_SECONDS_MAX)
        while (task := self._client.promises.task(id)) is None or task.state != "suspended":
            pass  # it may still be going to sleep, and would go on without a replay

        begun_at, cpu_at = time.perf_counter(), time.process_time()
        self._client.promises.resolve(answer_id, 1)
        handle.result(timeout=WAIT_SECONDS_MAX)
        elapsed = time.perf_counter() - begun_at
        return Timing(elapsed, [elapsed * 1000], 1), time.process_time() - cpu_at


def _runs(function: Callable[..., Any], count: int) -> Begin:
    def begin(client: Resonate, id: str) -> Handle[Any]:
        return client.begin_run(id, function, count)

    return begin


def _row(
    name: str,
    in_flight: int,
    operations: int,
    rounds: int,
    measure: Callable[[], tuple[Timing, float]],
) -> Row:
    measured = [measure() for _ in range(rounds)]
    return sum_up(
        name,
        in_flight,
        [timing for timing, _ in measured],
        operations=operations,
        cpu_s={"all in one": sum(cpu_s for _, cpu_s in measured)},
    )


def _with_cpu(measure: Callable[..., Timing], *args: Any) -> tuple[Timing, float]:
    cpu_at = time.process_time()
    timing = measure(*args)
    return timing, time.process_time() - cpu_at
