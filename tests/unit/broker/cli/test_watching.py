"""Looking again and again."""

import json
import sys

import pytest
from rich.text import Text

from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.output import Output
from resonate_broker.cli.watching import View, watch

AWAY = CommandError("RabbitMQ is away", ExitCode.UNREACHABLE)


def view(number, *, is_final=False, essence=None):
    return View(
        document={"number": number},
        lines=(Text(f"number {number}"),),
        is_final=is_final,
        essence=essence,
    )


def looking(*views):
    """Gives one after the other."""
    left = list(views)

    def look():
        found = left.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    return look


def run(*views, as_json=True):
    pauses = []
    watch(Output(as_json=as_json), looking(*views), lambda: pauses.append(None))
    return len(pauses)


def test_each_change_is_a_line_of_json_until_the_last_one(capsys):
    pauses = run(view(1), view(1), view(2), view(3, is_final=True), view(4))

    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == [{"number": 1}, {"number": 2}, {"number": 3}]
    assert pauses == 3


def test_what_changes_without_anything_happening_is_not_told(capsys):
    run(view(1, essence={"a": 1}), view(2, essence={"a": 1}), view(3, is_final=True))

    assert capsys.readouterr().out == '{"number":1}\n{"number":3}\n'


def test_for_people_without_a_terminal_changes_are_written_below_each_other(capsys):
    run(view(1), view(1), AWAY, view(2, is_final=True), as_json=False)

    assert capsys.readouterr().out == "number 1\nnumber 2\n"


def test_on_a_terminal_a_view_takes_the_place_of_the_one_before(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # to rich, this is a terminal

    run(view(1), AWAY, view(2, is_final=True), as_json=False)

    out = capsys.readouterr().out
    assert out.index("number 1") < out.index("RabbitMQ is away") < out.index("number 2")
    assert "\x1b[1A" in out  # up to where the last one began


def test_a_view_may_show_later_what_it_could_show_at_first(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    places = []

    def look():
        places.append(sys.stdout)
        return view(len(places), is_final=len(places) == 2)

    watch(Output(as_json=False), look, lambda: None)

    assert places == [sys.stdout, sys.stdout]


def test_an_outage_in_between_is_waited_for(capsys):
    assert run(view(1), AWAY, AWAY, view(2, is_final=True)) == 3


@pytest.mark.parametrize("as_json", [True, False])
def test_what_cannot_be_seen_from_the_beginning_is_an_error(as_json):
    with pytest.raises(CommandError, match="RabbitMQ is away"):
        run(AWAY, as_json=as_json)


@pytest.mark.parametrize("as_json", [True, False])
def test_another_error_ends_it(as_json):
    with pytest.raises(CommandError, match="no promise"):
        run(view(1), CommandError("no promise 'a'", ExitCode.NOT_FOUND), as_json=as_json)


@pytest.mark.parametrize("as_json", [True, False])
def test_ctrl_c_ends_it_in_peace(as_json):
    assert run(view(1), KeyboardInterrupt(), as_json=as_json) == 1
