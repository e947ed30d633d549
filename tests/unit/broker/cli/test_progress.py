"""Bars: on a terminal, for much work, and nowhere else."""

from io import StringIO

from rich.console import Console

from resonate_broker.cli.progress import SHORT, progress


def shown(total: int, *, is_terminal: bool) -> str:
    written = StringIO()
    with progress(
        "sending", total, where=Console(file=written, force_terminal=is_terminal)
    ) as step:
        for _ in range(total):
            step()
    return written.getvalue()


def test_much_work_on_a_terminal_has_a_bar():
    written = shown(SHORT + 1, is_terminal=True)

    assert "sending" in written
    assert f"{SHORT + 1}/{SHORT + 1}" in written


def test_short_work_and_programs_are_told_nothing():
    assert shown(SHORT, is_terminal=True) == ""
    assert shown(SHORT + 1, is_terminal=False) == ""
