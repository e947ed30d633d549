"""What commands print: text for people, or with `--json` one document for programs.

Standard output has the result and nothing else; notes and errors go to standard error. With
`--json` a result is one JSON document, and an error is one, too: `{"error": …, "exit_code": …}`.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from resonate_broker.cli.exits import CommandError

TERMINALS_WITHOUT_SYMBOLS = frozenset({"dumb", "linux"})

Document = Mapping[str, Any]


class Output:
    """Prints for one command."""

    def __init__(self, *, as_json: bool) -> None:
        """Print for programs or for people."""
        self.as_json = as_json

    def show(self, document: Document, lines: Iterable[Text | str]) -> None:
        """Print a result: the document, or the lines that say the same."""
        if self.as_json:
            _write(msgspec.json.format(msgspec.json.encode(document), indent=2))
            return
        printer = console()
        for line in lines:
            printer.print(line)

    def show_paragraph(self, document: Document, text: str) -> None:
        """Print a result that is prose: it is broken where the terminal ends."""
        if self.as_json:
            self.show(document, ())
        else:
            console().print(text, soft_wrap=False)

    def announce(self, document: Document, lines: Iterable[Text | str]) -> None:
        """Print the result of a command that goes on running: as JSON it is one line."""
        if self.as_json:
            _write(msgspec.json.encode(document))
        else:
            self.show(document, lines)
        sys.stdout.flush()

    def note(self, line: Text | str) -> None:
        """Tell people something that is not part of the result."""
        if not self.as_json:
            console(is_error=True).print(line)


def report(failure: CommandError, *, as_json: bool) -> None:
    """Print an error."""
    if as_json:
        document = {"error": str(failure), "exit_code": int(failure.code)}
        _write(msgspec.json.encode(document), is_error=True)
        return
    console(is_error=True).print(Text.assemble(("Error:", "bold red"), " ", plain(str(failure))))


def plain(text: str) -> str:
    """Text that is safe to show: what would control the terminal is written as an escape."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def has_symbols(encoding: str | None = None, terminal: str | None = None) -> bool:
    """Whether standard output can show more than ASCII.

    Args:
        encoding: of standard output, if not that of this process.
        terminal: its type, if not that of this process.
    """
    found = encoding or sys.stdout.encoding or ""
    terminal = os.environ.get("TERM", "") if terminal is None else terminal
    return found.lower().startswith("utf") and terminal not in TERMINALS_WITHOUT_SYMBOLS


def console(*, is_error: bool = False) -> Console:
    """A console for data."""
    # Ids and values are data: no markup, no emoji names, no colours for numbers in them, and lines
    # as long as they are.
    return Console(stderr=is_error, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _write(document: bytes, *, is_error: bool = False) -> None:
    # As bytes, since JSON is UTF-8 whatever the locale says.
    stream = sys.stderr if is_error else sys.stdout
    stream.flush()
    stream.buffer.write(document + b"\n")
    stream.buffer.flush()
