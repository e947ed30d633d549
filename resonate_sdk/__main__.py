"""`python -m resonate_sdk`: executions looked at, settled, and checked against code.

python -m resonate_sdk explain|tree ID [--url amqp://…]
python -m resonate_sdk history ID [-o FILE] [--url amqp://…]
python -m resonate_sdk check FILE_OR_FOLDER... --module MODULE
python -m resonate_sdk get|resolve|reject|cancel ID [--value JSON] [--url amqp://…]
python -m resonate_sdk schedules [delete ID] [--url amqp://…]

`resonate`, the command of the server, does more: who works, what waits, why something fails.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from resonate_sdk.errors import ResonateError

if TYPE_CHECKING:  # what a command does not need is not loaded
    from resonate_sdk.client.promises import PromiseRecord
    from resonate_sdk.client.resonate import Resonate

DIFFERENT = 1
USAGE = 2
SETTLING = ("resolve", "reject", "cancel")

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 different or refused, 2 usage."""
    given = _parser().parse_args(arguments)
    try:
        return given.run(given)
    except (ResonateError, AssertionError) as error:
        sys.stderr.write(f"{error}\n")
        return DIFFERENT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m resonate_sdk", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")

    def add(name: str, run: Command, help: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help)
        command.set_defaults(run=run)
        return command

    def of_one(name: str, run: Command, help: str) -> argparse.ArgumentParser:
        command = add(name, run, help)
        command.add_argument("id")
        command.add_argument("--url", help="of the broker; default RESONATE_URL")
        return command

    of_one("explain", _explain, "show what an execution has done, and who works on it")
    of_one("tree", _tree, "show what an execution has done")
    history = of_one("history", _history, "save what is stored of an execution")
    history.add_argument("-o", "--output", type=Path, help="a file; default ID.json")
    of_one("get", _get, "show a promise")
    for name in SETTLING:
        settle = of_one(name, _settle, f"{name} a promise")
        settle.add_argument("--value", metavar="JSON", help="what it is settled with")
    schedules = add("schedules", _schedules, "list schedules, or delete one")
    schedules.add_argument("delete", nargs="?", choices=["delete"])
    schedules.add_argument("id", nargs="?")
    schedules.add_argument("--url", help="of the broker; default RESONATE_URL")
    check = add("check", _check, "replay saved executions with the present code")
    check.add_argument("paths", nargs="+", type=Path)
    check.add_argument(
        "--module", "--app", required=True, help="module that has the registered functions"
    )
    return parser


def _client(given: argparse.Namespace) -> "Resonate":
    from resonate_sdk.client.resonate import Resonate

    return Resonate.remote(given.url, autostart=False)


def _explain(given: argparse.Namespace) -> int:
    from resonate_sdk.debug import explain

    with _client(given) as client:
        sys.stdout.write(explain(client, given.id) + "\n")
    return 0


def _tree(given: argparse.Namespace) -> int:
    from resonate_sdk.debug import history, tree

    with _client(given) as client:
        sys.stdout.write(tree(history(client, given.id)) + "\n")
    return 0


def _history(given: argparse.Namespace) -> int:
    from resonate_sdk.debug import history

    output: Path = given.output or Path(f"{given.id.replace('/', '_')}.json")
    with _client(given) as client:
        found = history(client, given.id)
    found.save(output)
    sys.stdout.write(f"{output}: {len(found.promises) + 1} promises\n")
    return 0


def _get(given: argparse.Namespace) -> int:
    with _client(given) as client:
        _show(client.promises.get(given.id))
    return 0


def _settle(given: argparse.Namespace) -> int:
    import msgspec

    try:
        value = None if given.value is None else msgspec.json.decode(given.value)
    except msgspec.DecodeError as error:
        sys.stderr.write(f"--value is no JSON: {error}\n")
        return USAGE
    with _client(given) as client:
        settle = {
            "resolve": client.promises.resolve,
            "reject": client.promises.reject,
            "cancel": client.promises.cancel,
        }[given.command]
        record = settle(given.id, value)
        _show(record)
    wanted = {"resolve": record.resolved, "reject": record.rejected, "cancel": record.canceled}
    return 0 if wanted[given.command] else DIFFERENT


def _show(record: "PromiseRecord[object]") -> None:
    sys.stdout.write(f"{record.id} {record.state}")
    sys.stdout.write("\n" if record.pending else f" {record.value!r}\n")


def _schedules(given: argparse.Namespace) -> int:
    if bool(given.delete) != bool(given.id):
        sys.stderr.write("write `schedules`, or `schedules delete ID`\n")
        return USAGE
    with _client(given) as client:
        if given.delete:
            client.schedules.delete(given.id)
        else:
            for schedule in client.schedules.search():
                sys.stdout.write(f"{schedule.id} {schedule.cron} {schedule.timezone}\n")
    return 0


def _check(given: argparse.Namespace) -> int:
    from resonate_sdk.debug import check

    sys.path.insert(0, str(Path.cwd()))
    try:
        module = import_module(given.module)
    except ModuleNotFoundError as error:
        sys.stderr.write(f"--module {given.module}: {error}\n")
        return USAGE
    for report in check(given.paths, module):
        sys.stdout.write(f"{report.verdict} {report.id} {report.func}: {report.reason}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
