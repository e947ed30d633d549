"""Showing something again and again, until it is final or somebody presses Ctrl-C."""

import threading
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer
from msgspec import Struct
from rich.console import Group
from rich.live import Live
from rich.text import Text

from resonate_broker.cli.exits import CommandError, ExitCode, failure_of
from resonate_broker.cli.output import Output, console

INTERVAL_S = 1.0

Watch = Annotated[
    bool, typer.Option("--watch", help="Show it again every second; Ctrl-C ends that.")
]


class View(Struct, frozen=True, kw_only=True):
    """What there is to see at one moment.

    Attributes:
        is_final: whether it will not change any more.
        essence: what differs when something has happened; by default the document.
    """

    document: dict[str, Any]
    lines: tuple[Text, ...]
    notes: tuple[str, ...] = ()
    is_final: bool = False
    essence: dict[str, Any] | None = None

    def is_same(self, other: "View") -> bool:
        """Whether nothing has happened in between."""
        return (self.essence or self.document) == (other.essence or other.document)


def show(output: Output, look: Callable[[], View], *, is_watched: bool) -> None:
    """Show a view once, or again and again."""
    if is_watched:
        watch(output, look)
        return
    view = look()
    output.show(view.document, view.lines)
    for note in view.notes:
        output.note(Text(note, style="yellow"))


def watch(
    output: Output, look: Callable[[], View], pause: Callable[[], object] | None = None
) -> None:
    """Show a view in place of the one before; without a terminal each that differs.

    A server or broker that is away for a while is waited for, once there was something to see.

    Args:
        output: of the command.
        look: gets the view.
        pause: between two looks.

    Raises:
        CommandError: the first look failed, or a later one for another reason than an outage.
    """
    pause = pause or (lambda: threading.Event().wait(INTERVAL_S))
    try:
        if output.as_json or not console().is_terminal:
            _watch_changes(output, look, pause)
        else:
            _watch_lively(look, pause)
    except KeyboardInterrupt:
        return  # how a watch ends


def _watch_changes(output: Output, look: Callable[[], View], pause: Callable[[], object]) -> None:
    shown: View | None = None
    while shown is None or not shown.is_final:
        if shown is not None:
            pause()
        view = _look(look, shown)
        if isinstance(view, CommandError):
            continue
        if shown is None or not view.is_same(shown):
            output.announce(view.document, view.lines)
        shown = view


def _watch_lively(look: Callable[[], View], pause: Callable[[], object]) -> None:
    shown = _look(look, None)
    assert isinstance(shown, View), "a first look that fails is raised"
    live = Live(
        _frame(shown.lines, shown.notes),
        console=console(),
        auto_refresh=False,
        redirect_stdout=False,  # what would stand in its place does not know what it can show
        redirect_stderr=False,
    )
    with live:
        while not shown.is_final:
            pause()
            view = _look(look, shown)
            if isinstance(view, CommandError):
                live.update(_frame(shown.lines, (*shown.notes, str(view))), refresh=True)
                continue
            shown = view
            live.update(_frame(shown.lines, shown.notes), refresh=True)


def _look(look: Callable[[], View], shown: View | None) -> View | CommandError:
    """Look once; an outage is an answer if there was something to see before."""
    try:
        return look()
    except Exception as error:
        failure = failure_of(error)
        if shown is None or failure is None or failure.code != ExitCode.UNREACHABLE:
            raise
        return failure


def _frame(lines: Iterable[Text], notes: Iterable[str]) -> Group:
    return Group(*lines, *(Text(note, style="yellow") for note in notes))
