"""The installed program."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.cli.programs import environment, run

SCRIPT = Path(sys.executable).with_name("resonate")


def test_it_is_installed_under_its_name():
    by_name = run("--version", env=environment(), program=(str(SCRIPT),))
    as_module = run("--version", env=environment())

    assert by_name.code == as_module.code == 0
    assert by_name.out == as_module.out
    assert by_name.out.startswith("resonate ")


def test_help_does_not_wait_for_the_libraries_of_the_servers():
    program = (
        "import sys; from resonate_broker.cli import program; "
        "print(*({'aio_pika', 'aiormq', 'asyncpg', 'uvloop'} & set(sys.modules)))"
    )

    loaded = run(env=environment(), program=(sys.executable, "-c", program))

    assert loaded.out == "\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tree", "a"), "Error: interrupted\n"),
        (("tree", "a", "--json"), '{"error":"interrupted","exit_code":130}\n'),
    ],
)
def test_ctrl_c_while_it_is_being_loaded_ends_it_with_a_sentence(arguments, said):
    program = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'resonate_broker.cli.exits':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from resonate_broker.cli import main\n"
        "main()\n"
    )

    ended = run(*arguments, env=environment(), program=(sys.executable, "-c", program))

    assert (ended.code, ended.out, ended.err) == (130, "", said)


def test_ctrl_c_while_the_commands_are_put_together_ends_it_with_a_sentence():
    program = """
import os, signal
import typer.main
put_together = typer.main.get_command
def interrupted(*arguments):
    os.kill(os.getpid(), signal.SIGINT)
    return put_together(*arguments)
typer.main.get_command = interrupted
from resonate_broker.cli import main
main()
"""

    ended = run("tree", "a", env=environment(), program=(sys.executable, "-c", program))

    assert (ended.code, ended.out, ended.err) == (130, "", "Error: interrupted\n")


def test_who_interrupts_it_once_more_at_its_end_does_not_disturb_that():
    program = """
import atexit, os, signal
from resonate_broker.cli import main
atexit.register(os.kill, os.getpid(), signal.SIGINT)
main()
"""

    ended = run("--version", env=environment(), program=(sys.executable, "-c", program))

    assert (ended.code, ended.err) == (0, "")


def test_a_reader_that_goes_away_is_no_reason_for_a_traceback():
    with subprocess.Popen(
        [SCRIPT, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()

    assert err == b""
