"""Runs the workloads and prints a table, or with --json a list of rows."""

import argparse
import math
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec
from rich.console import Console

from resonate_sdk import Resonate
from scripts.benchmark.cluster import SLOTS, WORKER_GROUP, Cluster, cluster
from scripts.benchmark.lateness import TIMERS, SetTimer, lateness
from scripts.benchmark.local import REPLAYED, measure_local
from scripts.benchmark.machine import with_stolen
from scripts.benchmark.peers.comparison import compare_all
from scripts.benchmark.peers.registry import PEERS
from scripts.benchmark.rows import Row, Timing, ratios, sum_up, table
from scripts.benchmark.scale import PENDING, SETTLED, measure_scale
from scripts.benchmark.workloads import (
    GROWTH,
    GROWTH_UNITS,
    WORKLOADS,
    Workload,
    calls,
    drain,
    make,
    repeat,
)
from scripts.benchmark.yardstick import publish

WARM_UP_S = 3.0
YARDSTICK_IN_FLIGHT = 100
SLOW_GROUP, SLOW_WORKERS, SLOW_CALLS, SLOW_CALL_S = "bench-slow", 2, 20, 0.5
FLOOD = 100_000
WIDTH = 160  # of a table that goes to a file
NAMES = ("publish", *WORKLOADS, "W5", "W6", "timers", "growth", "local", "scale")
BY_DEFAULT = tuple(name for name in NAMES if name != "scale")
TIMERS_IN_FLIGHT = 20


def main() -> None:
    """Measure what the arguments ask for."""
    signal.signal(signal.SIGTERM, _terminate)
    arguments = _parser().parse_args()
    bench = Bench(arguments.rounds, arguments.seconds)
    rows: list[Row] = []
    for name in arguments.only:
        for row in with_stolen(bench.measure(name)):
            rows.append(row)
            if not arguments.json and sys.stderr.isatty():
                print(
                    f"{row.workload} at {row.in_flight}: {row.rate_per_s:,.0f}/s", file=sys.stderr
                )
    rows += compare_all(arguments.peers, arguments.only, arguments.rounds, arguments.seconds)
    if arguments.json:
        print(msgspec.json.encode(rows).decode())
    else:
        console = Console(width=None if sys.stdout.isatty() else WIDTH)
        console.print(table(rows))
        if arguments.peers:
            console.print(ratios(rows))


def _terminate(_: int, __: object) -> None:
    """End in order, so that what was started ends, too."""
    sys.exit("terminated")


def _parser() -> argparse.ArgumentParser:
    meanings = "; ".join(f"{name}: {workload.meaning}" for name, workload in WORKLOADS.items())
    parser = argparse.ArgumentParser(
        prog="./scripts/bench",
        description="Measures the system end to end: client, server and worker in three processes, "
        f"with private RabbitMQ and PostgreSQL on this machine. {meanings}; "
        f"W5: {SLOW_WORKERS} workers with one slot each, {SLOW_CALLS} calls of {SLOW_CALL_S} s; "
        f"W6: {FLOOD:,} calls made at once; timers: how late sleeps and deadlines are heard of; "
        "growth: the cost of a step and of a child in larger and larger workflows; local: steps, "
        f"joins and the replay of {REPLAYED:,} steps in local mode, in memory; scale: the same "
        f"work beside {SETTLED:,} settled promises and {PENDING:,} pending ones, and beside none; "
        "publish: plain aio-pika, to compare machines by.",
    )
    parser.add_argument("--json", action="store_true", help="print a list of rows")
    parser.add_argument(
        "--only",
        type=partial(_names, among=NAMES),
        default=BY_DEFAULT,
        metavar="W1[,W3…]",
        help=f"which of {', '.join(NAMES)} (default: all but scale)",
    )
    parser.add_argument(
        "--peers",
        nargs="?",
        type=partial(_names, among=tuple(PEERS)),
        default=(),
        const=tuple(PEERS),
        metavar="NAME[,NAME…]",
        help=f"compare with other systems, in turns: {', '.join(PEERS)} (default: all of them)",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="rounds per row (default: 3)"
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, metavar="S", help="length of a round (default: 5)"
    )
    return parser


def _names(text: str, among: Sequence[str]) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = ", ".join(name for name in names if name not in among)
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {unknown}: choose from {', '.join(among)}")
    return names


class Bench:
    """Measures workloads, each on a system of its own."""

    def __init__(self, rounds: int, seconds: float) -> None:
        """Measure so many rounds of so many seconds each."""
        self._rounds = rounds
        self._seconds = seconds

    def measure(self, name: str) -> Iterator[Row]:
        """Measure one workload."""
        if name == "scale":
            yield from measure_scale(self._rounds, self._seconds)
            return
        if name == "local":
            yield from measure_local(self._rounds, self._seconds)
            return
        group, slots, workers = WORKER_GROUP, SLOTS, 1
        if name == "W5":
            group, slots, workers = SLOW_GROUP, 1, SLOW_WORKERS
        with (
            cluster(group, slots=slots, workers=workers) as running,
            Resonate.remote(group="bench-client") as client,
        ):
            match name:
                case "publish":
                    yield self._yardstick(running)
                case "growth":
                    repeat(client, WORKLOADS["W2"].begin, 1, WARM_UP_S)
                    for grown, workload in GROWTH.items():
                        yield self._fixed(grown, workload, running, client)
                case "timers":
                    for timers, set_timer in TIMERS.items():
                        yield self._lateness(timers, set_timer, running, client)
                case "W5":
                    yield self._makespan(running, client)
                case "W6":
                    yield self._flood(running, client)
                case _:
                    yield from self._closed_loop(name, WORKLOADS[name], running, client)

    def _closed_loop(
        self, name: str, workload: Workload, running: Cluster, client: Resonate
    ) -> Iterator[Row]:
        for in_flight in workload.in_flight:
            repeat(client, workload.begin, in_flight, WARM_UP_S)

            def measure(in_flight: int = in_flight) -> Sequence[Timing]:
                return [
                    repeat(client, workload.begin, in_flight, self._seconds)
                    for _ in range(self._rounds)
                ]

            yield _row(name, in_flight, running, measure, workload.operations)

    def _lateness(self, name: str, set_timer: SetTimer, running: Cluster, client: Resonate) -> Row:
        lateness(client, set_timer, 1, WARM_UP_S)

        def measure() -> Sequence[Timing]:
            return [
                lateness(client, set_timer, TIMERS_IN_FLIGHT, self._seconds)
                for _ in range(self._rounds)
            ]

        return _row(name, TIMERS_IN_FLIGHT, running, measure)

    def _fixed(self, name: str, workload: Workload, running: Cluster, client: Resonate) -> Row:
        count = math.ceil(GROWTH_UNITS / workload.operations)

        def measure() -> Sequence[Timing]:
            return [make(client, workload.begin, 1, count)]

        return _row(name, 1, running, measure, workload.operations)

    def _makespan(self, running: Cluster, client: Resonate) -> Row:
        target = client.options(target=SLOW_GROUP)
        for number in range(2 * SLOW_WORKERS):  # until all workers have said that they are there
            target.rpc(f"warm-up-{number}", "noop")

        def measure() -> Sequence[Timing]:
            return [drain(client, calls("half_a_second", group=SLOW_GROUP), SLOW_CALLS)]

        row = _row("W5", SLOW_WORKERS, running, measure)
        makespan_s = SLOW_CALLS / row.rate_per_s
        ideal_s = SLOW_CALLS * SLOW_CALL_S / SLOW_WORKERS
        return msgspec.structs.replace(row, makespan_s=round(makespan_s, 3), ideal_s=ideal_s)

    def _flood(self, running: Cluster, client: Resonate) -> Row:
        begin = WORKLOADS["W1"].begin
        repeat(client, begin, 1, WARM_UP_S)
        return _row("W6", FLOOD, running, lambda: [drain(client, begin, FLOOD)])

    def _yardstick(self, running: Cluster) -> Row:
        def measure() -> Sequence[Timing]:
            return [
                publish(running.url, YARDSTICK_IN_FLIGHT, self._seconds)
                for _ in range(self._rounds)
            ]

        return _row(
            "publish", YARDSTICK_IN_FLIGHT, running, measure, processes=("client", "rabbitmq")
        )


def _row(
    name: str,
    in_flight: int,
    running: Cluster,
    measure: Callable[[], Sequence[Timing]],
    operations: int = 1,
    processes: Sequence[str] | None = None,
) -> Row:
    before = running.cpu_s()
    timings = measure()
    cpu_s = {
        process: used - before[process]
        for process, used in running.cpu_s().items()
        if processes is None or process in processes
    }
    peak_mb = {} if processes is not None else running.peak_mb()
    return sum_up(name, in_flight, timings, operations=operations, cpu_s=cpu_s, peak_mb=peak_mb)


if __name__ == "__main__":
    main()
