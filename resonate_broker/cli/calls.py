"""Calls on the command line: which function, and with which arguments."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from resonate_broker.cli.arguments import read_json, read_json_or_text
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.functions.call_envelope import encode_call
from resonate_sdk.protocol.records import Value

FUNC = typer.Option(
    "--func",
    "-f",
    metavar="NAME",
    help="Function to call, by the name it is registered under.",
    show_default=False,
)
ArgOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--arg",
        metavar="VALUE",
        help="Argument: JSON, or else the text as it is; may be repeated.",
        parser=read_json_or_text,
        show_default=False,
    ),
]
JsonArgsOption = Annotated[
    Any,
    typer.Option(
        "--json-args",
        metavar="JSON",
        help="All arguments: an array, or an object with arguments by name.",
        parser=read_json,
        show_default=False,
    ),
]
VersionOption = Annotated[
    int, typer.Option("--version", metavar="NUMBER", help="Version of the function.", min=1)
]


def call_arguments(positional: Sequence[Any], json_args: Any) -> tuple[list[Any], dict[str, Any]]:
    """Put the arguments together; give those by position and those by name."""
    match json_args:
        case None:
            return list(positional), {}
        case {**by_name}:
            return list(positional), by_name
        case [*by_position] if not positional:
            return by_position, {}
        case [*_]:
            raise typer.BadParameter("--arg and --json-args '[…]' both give arguments by position")
        case _:
            raise typer.BadParameter("--json-args is an array '[…]' or an object '{…}'")


def encoded_call(func: str, version: int, positional: Sequence[Any], json_args: Any) -> Value:
    """A call as the SDK stores it.

    Raises:
        BadParameter: the arguments say two things.
        CommandError: they break a limit.
    """
    args, kwargs = call_arguments(positional, json_args)
    try:
        return encode_call(Codec(), func, version, args, kwargs)
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
