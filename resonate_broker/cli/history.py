"""`resonate history`: what a server has recorded."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from resonate_broker.api.history import HistoryError, final_lines
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.output import Output
from resonate_broker.cli.progress import progress
from resonate_broker.cli.settings import AsJson

EXAMPLES = "Example: resonate history export recorded.jsonl --output history.jsonl"

RECORDS_PER_STEP = 1_000

app = typer.Typer(no_args_is_help=True, help="What a server has recorded with record_history.")


@app.command(epilog=EXAMPLES)
def export(
    recorded: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="What a server has written to record_history.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="A file for it; without, it is printed.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a history out of a recording, for a linearizability checker: one line per request.

    The servers should have ended: what is under way counts as lost.
    """
    try:
        records = recorded.read_bytes().splitlines()
        with progress("reading thousands of records", len(records) // RECORDS_PER_STEP) as done:
            lines = [line + b"\n" for line in final_lines(_counted(records, done))]
    except OSError as error:
        raise CommandError(f"cannot read {recorded}: {error.strerror}", ExitCode.USAGE) from error
    except HistoryError as error:
        raise CommandError(f"{recorded}: {error}", ExitCode.USAGE) from error
    if output is None:
        sys.stdout.write(b"".join(lines).decode())
        return
    try:
        output.write_bytes(b"".join(lines))
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}", ExitCode.USAGE) from error
    document = {"requests": len(lines), "file": str(output)}
    Output(as_json=as_json).show(document, (f"Wrote {len(lines)} requests to {output}",))


def _counted(records: Sequence[bytes], done: Callable[[], None]) -> Iterator[bytes]:
    for number, record in enumerate(records, start=1):
        yield record
        if number % RECORDS_PER_STEP == 0:
            done()
