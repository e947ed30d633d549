"""`python -m resonate_sdk`: histories of executions, fetched and checked against code.

python -m resonate_sdk history ID [-o FILE] [--url amqp://…]
python -m resonate_sdk tree ID [--url amqp://…]
python -m resonate_sdk check FILE_OR_FOLDER... --app MODULE
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from resonate_sdk.errors import ResonateError

DIFFERENT = 1
USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 different or refused, 2 usage."""
    parser = argparse.ArgumentParser(prog="python -m resonate_sdk", description=__doc__)
    commands = parser.add_subparsers(required=True)
    history = commands.add_parser("history", help="save what is stored of an execution")
    history.add_argument("id")
    history.add_argument("-o", "--output", type=Path, help="a file; default ID.json")
    history.add_argument("--url", help="of the broker; default RESONATE_URL")
    history.set_defaults(run=_history)
    tree = commands.add_parser("tree", help="show what an execution has done")
    tree.add_argument("id")
    tree.add_argument("--url", help="of the broker; default RESONATE_URL")
    tree.set_defaults(run=_tree)
    check = commands.add_parser("check", help="replay saved executions with the present code")
    check.add_argument("paths", nargs="+", type=Path)
    check.add_argument("--app", required=True, help="module that has the registered functions")
    check.set_defaults(run=_check)
    given = parser.parse_args(arguments)
    try:
        return given.run(given)
    except (ResonateError, AssertionError) as error:
        sys.stderr.write(f"{error}\n")
        return DIFFERENT


def _history(given: argparse.Namespace) -> int:
    from resonate_sdk.client.resonate import Resonate
    from resonate_sdk.debug import history

    output: Path = given.output or Path(f"{given.id.replace('/', '_')}.json")
    with Resonate.remote(given.url, autostart=False) as client:
        found = history(client, given.id)
    found.save(output)
    sys.stdout.write(f"{output}: {len(found.promises) + 1} promises\n")
    return 0


def _tree(given: argparse.Namespace) -> int:
    from resonate_sdk.client.resonate import Resonate
    from resonate_sdk.debug import history, tree

    with Resonate.remote(given.url, autostart=False) as client:
        sys.stdout.write(tree(history(client, given.id)) + "\n")
    return 0


def _check(given: argparse.Namespace) -> int:
    from resonate_sdk.debug import check

    sys.path.insert(0, str(Path.cwd()))
    try:
        module = import_module(given.app)
    except ModuleNotFoundError as error:
        sys.stderr.write(f"--app {given.app}: {error}\n")
        return USAGE
    for report in check(given.paths, module):
        sys.stdout.write(f"{report.verdict} {report.id} {report.func}: {report.reason}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
