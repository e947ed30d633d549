import json
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.program import Program
from resonate_broker.config import ConfigError
from resonate_broker.dev import InstanceError, MissingProgramError
from resonate_sdk import errors as sdk
from resonate_store import store

SENTENCES = [
    (CommandError("said no", ExitCode.REFUSED), 1),
    (sdk.InvalidError("said no", code=400), 1),
    (sdk.ConflictError("said no", code=409), 1),
    (sdk.StoreError("said no", code=501), 1),
    (store.SchemaError("said no"), 1),
    (store.RejectedError("said no"), 1),
    (ConfigError("said no"), 2),
    (sdk.EncodeError("said no"), 2),
    (sdk.TransportError("said no", may_be_carried_out=False), 3),
    (sdk.OverloadedError("said no", code=503), 3),
    (sdk.StoreError("said no", code=500), 3),
    (store.UnavailableError("said no"), 3),
    (store.FateUnknownError("said no"), 3),
    (InstanceError("said no"), 3),
    (MissingProgramError("RabbitMQ", looked_for="x", package="rabbitmq-server"), 3),
    (sdk.NotFoundError("said no", code=404), 4),
    (CommandError("said no", ExitCode.OTHER_STATE), 5),
    (KeyboardInterrupt(), 130),
]


def run(error: BaseException, *arguments: str):
    """Run a program whose only command ends like that."""
    app = typer.Typer(cls=Program, pretty_exceptions_enable=False)

    @app.callback()
    def program() -> None:
        pass

    @app.command()
    def command(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
        raise error

    return CliRunner().invoke(app, ["command", *arguments])


@pytest.mark.parametrize(
    ("error", "code"), SENTENCES, ids=[type(error).__name__ for error, _ in SENTENCES]
)
def test_an_error_becomes_a_sentence_and_an_exit_code(error, code):
    result = run(error)

    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr == f"Error: {str(error) or 'interrupted'}\n"


@pytest.mark.parametrize(
    ("error", "code"), SENTENCES, ids=[type(error).__name__ for error, _ in SENTENCES]
)
def test_with_json_it_becomes_one_document_on_standard_error(error, code):
    result = run(error, "--json")

    assert result.exit_code == code
    assert result.stdout == ""
    assert json.loads(result.stderr) == {"error": str(error) or "interrupted", "exit_code": code}


def test_what_may_still_be_carried_out_may_be_asked_for_again():
    result = run(sdk.TransportError("it may still be carried out", may_be_carried_out=True))

    assert result.exit_code == 3
    assert result.stderr.endswith("carried out, and giving the command again is harmless\n")


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_bug_keeps_its_traceback(arguments):
    bug = AssertionError("two owners")

    result = run(bug, *arguments)

    assert result.exception is bug


def test_an_error_of_usage_is_shown_in_the_style_of_typer():
    result = run(AssertionError("not reached"), "--colour")

    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert "No such option: --colour" in result.stderr


def test_with_json_an_error_of_usage_is_a_document_too():
    result = run(AssertionError("not reached"), "--json", "--colour")

    assert result.exit_code == 2
    assert json.loads(result.stderr) == {"error": "No such option: --colour", "exit_code": 2}
