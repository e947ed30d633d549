"""How far long work has come, for somebody who looks at a terminal."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from resonate_broker.cli.output import console

SHORT = 20  # nobody waits long for so few


@contextmanager
def progress(
    title: str, total: int, *, where: Console | None = None
) -> Generator[Callable[[], None]]:
    """Show a bar while the block lasts; it leaves nothing behind.

    It is on standard error, and only if that is a terminal: output stays what it is.

    Args:
        title: what is done.
        total: how many steps there are.
        where: another console, for tests.

    Yields:
        To be called after each step.
    """
    shown_at = where or console(is_error=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    is_shown = shown_at.is_terminal and total > SHORT
    with Progress(*columns, console=shown_at, transient=True, disable=not is_shown) as bar:
        step = bar.add_task(title, total=total)
        yield lambda: bar.advance(step)
