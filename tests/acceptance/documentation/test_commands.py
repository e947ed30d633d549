"""The commands in the documentation are commands, with the options that there are."""

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import product, takewhile
from typing import Any

import pytest
from typer.main import get_command

from resonate_broker.cli.program import app
from tests.repository.sources import ROOT

PAGES = ("README.md", "resonate_broker/integration/README.md")


def typed() -> Iterator[str]:
    """What somebody copies into a terminal."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            yield from re.findall(r"^resonate .*", block.replace("\\\n", ""), re.MULTILINE)
        for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            yield from re.findall(r"# .*: (resonate .*)", program)


def mentioned() -> Iterator[str]:
    """What stands in a sentence or a table, where `a|b` stands for two commands."""
    for page in PAGES:
        prose = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
        for mention in re.findall(r"`resonate ([a-z][^`\n]*)`", prose):
            yield from alternatives(mention.replace("\\|", "|").split(" "))


def alternatives(words: Sequence[str]) -> Iterator[str]:
    """The names of the commands that are meant, without what they are about."""
    name = tuple(takewhile(re.compile(r"[a-z|]+").fullmatch, words))
    yield from (" ".join(choice) for choice in product(*(word.split("|") for word in name)))


def found(words: Sequence[str]) -> tuple[Any, Sequence[str]]:
    """The command that words begin with, and the rest of them."""
    command: Any = get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"there is no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


TYPED = sorted(set(typed()))
MENTIONED = sorted(set(mentioned()))


@pytest.mark.parametrize("line", TYPED)
def test_what_is_typed_is_understood(line: str):
    command, arguments = found(shlex.split(line, comments=True)[1:])

    command.make_context("resonate", list(arguments))


@pytest.mark.parametrize("name", MENTIONED)
def test_what_is_mentioned_is_there(name: str):
    _, rest = found(name.split())

    assert not rest


def test_what_is_documented_was_found():
    assert "resonate tree charge-44" in TYPED
    assert len(TYPED) > 10
    assert {"dlq discard", "groups unset", "topology doctor"} < set(MENTIONED)
