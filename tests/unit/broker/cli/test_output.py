import json

import pytest
from rich.text import Text

from resonate_broker.cli.output import Output, has_symbols, plain


def test_for_people_the_lines_are_printed(capsys):
    Output(as_json=False).show({"id": "a"}, ["one", Text("two", style="bold")])

    assert capsys.readouterr() == ("one\ntwo\n", "")


def test_for_programs_one_document_is_printed_and_nothing_else(capsys):
    output = Output(as_json=True)

    output.note("by the way")
    output.show({"id": "ä"}, ["one"])

    printed, noted = capsys.readouterr()
    assert json.loads(printed) == {"id": "ä"}
    assert noted == ""


def test_the_document_of_a_command_that_goes_on_is_one_line(capsys):
    Output(as_json=True).announce({"url": "amqp://h", "namespace": "n"}, ())

    assert capsys.readouterr().out == '{"url":"amqp://h","namespace":"n"}\n'


def test_notes_do_not_mix_with_the_result(capsys):
    Output(as_json=False).note("by the way")

    assert capsys.readouterr() == ("", "by the way\n")


@pytest.mark.parametrize("text", ["[bold]x[/bold]", ":smile:", "[/]", "x" * 300, "127.0.0.1"])
def test_data_is_printed_as_it_is(text, capsys):
    Output(as_json=False).show({}, [text, Text(text)])

    assert capsys.readouterr().out == f"{text}\n{text}\n"


def test_what_would_control_the_terminal_is_shown_instead():
    assert plain("a\x1b[31mb\nc\x9bd é🙂") == "a\\x1b[31mb\\nc\\x9bd é🙂"


@pytest.mark.parametrize(
    ("encoding", "terminal", "expected"),
    [
        ("utf-8", "xterm-256color", True),
        ("UTF-8", "", True),
        ("utf8", "tmux", True),
        ("ascii", "xterm", False),
        ("iso8859-1", "xterm", False),
        ("utf-8", "linux", False),
        ("utf-8", "dumb", False),
    ],
)
def test_symbols_need_unicode_and_a_terminal_that_has_them(encoding, terminal, expected):
    assert has_symbols(encoding, terminal) is expected
