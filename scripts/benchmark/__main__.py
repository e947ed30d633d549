"""Runs the workloads and prints a table, or with --json a list of rows."""

import argparse
import time
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from resonate_sdk import Resonate
from scripts.benchmark.cluster import Cluster, cluster
from scripts.benchmark.workloads import Row, invoke, row
from scripts.benchmark.yardstick import publish

WARM_UP_S = 2.0
YARDSTICK_IN_FLIGHT = 100


def main() -> None:
    """Measure what the arguments ask for."""
    arguments = _parser().parse_args()
    with cluster() as running, Resonate.remote(group="bench-client") as client:
        rows = [_yardstick(running, arguments.rounds, arguments.seconds)]
        rows += (
            _measure(running, client, in_flight, arguments.rounds, arguments.seconds)
            for in_flight in arguments.in_flight
        )
    if arguments.json:
        print(msgspec.json.encode(rows).decode())
    else:
        Console().print(_table(rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./scripts/bench",
        description="Durable no-op invocations per second (W1): client, server and worker in "
        "three processes, with private RabbitMQ and PostgreSQL on this machine; and, to compare "
        "machines by, confirmed messages per second of plain aio-pika (publish).",
    )
    parser.add_argument("--json", action="store_true", help="print a list of rows")
    parser.add_argument(
        "--in-flight",
        type=lambda text: [int(number) for number in text.split(",")],
        default=[1, 100],
        metavar="N[,N…]",
        help="invocations under way at a time (default: 1,100)",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="rounds per row (default: 3)"
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, metavar="S", help="length of a round (default: 5)"
    )
    return parser


def _measure(
    running: Cluster, client: Resonate, in_flight: int, rounds: int, seconds: float
) -> Row:
    invoke(client, in_flight, WARM_UP_S)
    before, client_before = running.cpu_s(), time.process_time()
    timings = [invoke(client, in_flight, seconds) for _ in range(rounds)]
    cpu_s = {name: used - before[name] for name, used in running.cpu_s().items()}
    cpu_s["client"] = time.process_time() - client_before
    return row("W1", in_flight, timings, cpu_s)


def _yardstick(running: Cluster, rounds: int, seconds: float) -> Row:
    before = time.process_time()
    timings = [publish(running.url, YARDSTICK_IN_FLIGHT, seconds) for _ in range(rounds)]
    cpu_s = {"client": time.process_time() - before}
    return row("publish", YARDSTICK_IN_FLIGHT, timings, cpu_s)


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title="Durable invocations, end to end")
    table.add_column("workload")
    for column in ("in flight", "per second", "p50 ms", "p99 ms", "CPU µs per call"):
        table.add_column(column, justify="right")
    for measured in rows:
        table.add_row(
            measured.workload,
            str(measured.in_flight),
            f"{measured.rate_per_s:,.0f}",
            f"{measured.p50_ms:.1f}",
            f"{measured.p99_ms:.1f}",
            ", ".join(f"{name} {used:.0f}" for name, used in measured.cpu_us_per_op.items()),
        )
    return table


if __name__ == "__main__":
    main()
