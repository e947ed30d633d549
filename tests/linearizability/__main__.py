"""`./scripts/simulate servers`: real servers under fire, and whether what they did was possible."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import msgspec

from tests.acceptance.recovery.deployment import Deployment
from tests.databases import new_database
from tests.linearizability.checker import NotLinearizableError
from tests.linearizability.drill import Drill
from tests.services import amqp_server, postgres_server

HARMS = ("kill", "freeze", "cut")


def main() -> int:
    """Run what the command line asks for; 1 if the history could not have happened."""
    arguments = _arguments()
    harms = Random(arguments.seed).choices(HARMS, k=arguments.harms)
    began_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="drill-"))
    with (
        postgres_server() as postgres,
        new_database(postgres) as database_url,
        amqp_server() as amqp_url,
        Deployment(folder, amqp_url, database_url, f"drill-{arguments.seed}") as deployment,
    ):
        deployment.migrate()
        drill = Drill(deployment, database_url, folder, arguments.seed)
        try:
            lines = asyncio.run(
                drill.run(arguments.servers, harms, partitions=arguments.partitions)
            )
        except NotLinearizableError as error:
            _say(f"{error}\nthe history is in {folder}")
            return 1
    if arguments.answers:
        answers = Counter((line["kind"], _status(line)) for line in map(msgspec.json.decode, lines))
        for (kind, status), count in sorted(answers.items()):
            _say(f"{count:8} {kind} {status}")
    passed_s = time.monotonic() - began_s
    told = ", ".join(f"{harm} {count}" for harm, count in Counter(harms).items())
    _say(f"{len(lines)} requests could have happened as answered; {told}; {passed_s:.0f} s")
    return 0


def _status(line: dict[str, dict[str, dict[str, int]]]) -> int:
    return line["res"]["head"]["status"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="simulate servers", description="Real servers under fire record a history; check it."
    )
    parser.add_argument("--servers", type=int, default=3, help="how many (3)")
    parser.add_argument("--partitions", type=int, default=1, help="submission queues (1)")
    parser.add_argument("--harms", type=int, default=20, help="how many, a few seconds each (20)")
    parser.add_argument("--seed", type=int, default=0, help="of harms and choices (0)")
    parser.add_argument("--answers", action="store_true", help="count the answers by status")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
