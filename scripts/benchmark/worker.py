"""The worker of the benchmark: functions that do nothing, so that only the system is measured."""

import sys
import time
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

from resonate_sdk import Context, Resonate
from scripts.benchmark.cluster import READY_LINE, now_s


def noop(ctx: Context) -> None:
    """Do nothing."""


def step(ctx: Context) -> int:
    """Do as good as nothing."""
    return 1


def steps(ctx: Context, count: int) -> Generator[Any, Any, int]:
    """Take steps, one after the other."""
    taken = 0
    for _ in range(count):
        taken += yield ctx.run(step)
    return taken


def fan_out(ctx: Context, count: int) -> Generator[Any, Any, int]:
    """Call as many children at the same time, and join them."""
    children: list[Any] = []
    for _ in range(count):
        children.append((yield ctx.begin_rpc(step)))
    joined = 0
    for child in children:
        joined += yield child
    return joined


def fibonacci(ctx: Context, n: int) -> Generator[Any, Any, int]:
    """Call itself, twice."""
    if n < 2:
        return n
    one = yield ctx.begin_rpc(fibonacci, n - 1)
    other = yield ctx.begin_rpc(fibonacci, n - 2)
    return (yield one) + (yield other)


def nap(ctx: Context, sleep_s: float) -> Generator[Any, Any, None]:
    """Sleep durably."""
    yield ctx.sleep(sleep_s)


def nap_until(ctx: Context, at_s: float) -> Generator[Any, Any, float]:
    """Sleep durably until an instant, and say when it went on."""
    yield ctx.sleep(until=datetime.fromtimestamp(at_s, UTC))
    return now_s()


def half_a_second(ctx: Context) -> None:
    """Keep a slot for half a second."""
    time.sleep(0.5)


def main() -> None:
    """Serve a group with a number of slots until SIGTERM."""
    group, slots = sys.argv[1:]
    resonate = Resonate.remote(group=group, max_concurrent_tasks=int(slots))
    for function in (noop, step, steps, fan_out, fibonacci, nap, nap_until, half_a_second):
        resonate.register(function)
    print(READY_LINE, flush=True)
    resonate.serve()


if __name__ == "__main__":
    main()
