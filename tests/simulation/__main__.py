"""`./scripts/simulate`: runs simulations and says what they found."""

import argparse
import asyncio
import sys
import time

from resonate_store.postgres.migrate import migrate
from tests.databases import new_database
from tests.services import postgres_server
from tests.simulation import runner, stores
from tests.simulation.runner import Summary

NAMESPACE = "simulation"


def main() -> int:
    """Run what the command line asks for; 1 if anything was found."""
    arguments = _arguments()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    began_s = time.monotonic()
    summary = _on_postgres(seeds) if arguments.postgres else _on_sqlite(seeds)
    for failure in summary.failures:
        _say(str(failure))
        if arguments.trace:
            _say("\n".join(failure.trace))
    if arguments.answers:
        for (kind, status), count in sorted(summary.answers.items()):
            _say(f"{count:8} {kind} {status}")
    if arguments.digest:
        for outcome in runner.outcomes(seeds):
            _say(f"{outcome.seed} {outcome.digest}")
    passed_s = time.monotonic() - began_s
    _say(
        f"{summary.seeds} seeds, {summary.steps} steps checked, {len(summary.failures)} failed, "
        f"{passed_s:.1f} s"
    )
    return 1 if summary.failures else 0


def _on_sqlite(seeds: range) -> Summary:
    return runner.run_some(seeds) if len(seeds) <= 2 else runner.run_all(seeds)


def _on_postgres(seeds: range) -> Summary:
    with postgres_server() as server, new_database(server) as url:
        asyncio.run(migrate(url, NAMESPACE))
        return runner.run_some(seeds, stores.postgres(url, NAMESPACE))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="simulate", description="Simulates servers, clients and faults; a seed says all."
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many (100)")
    parser.add_argument("--first-seed", type=int, default=0, help="where to begin (0)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL: one core, slower")
    parser.add_argument("--trace", action="store_true", help="print what a failed seed has done")
    parser.add_argument("--answers", action="store_true", help="count the answers by status")
    parser.add_argument("--digest", action="store_true", help="print a number for each trace")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
