"""Arguments and options of the client commands, read and checked while typer can point at them."""

import re
from typing import Annotated, Any

import msgspec
import typer

from resonate_broker.durations import parse_duration
from resonate_sdk.errors import UsageError
from resonate_sdk.options import make_options
from resonate_sdk.protocol import addresses, limits, requests


def read_id(text: str) -> str:
    """Read the id of a promise."""
    if not text:
        raise typer.BadParameter("an id has at least one character")
    size = len(text.encode(errors="surrogateescape"))
    if size > limits.ID_BYTES_MAX:
        raise typer.BadParameter(f"an id has {size} bytes, the limit is {limits.ID_BYTES_MAX}")
    try:
        requests.check_id("an id", text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return text


def read_duration_ms(text: str) -> int:
    """Read a duration, in milliseconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def read_target(text: str) -> str:
    """Read a group or an address, and bring it into its stored form."""
    try:
        return addresses.normalize(text)
    except addresses.AddressError as error:
        raise typer.BadParameter(str(error)) from error


def read_group(text: str) -> str:
    """Read the name of a worker group."""
    if not re.fullmatch(limits.NAME_PATTERN, text):
        raise typer.BadParameter(f"{text!r} is no group: write 1 to 64 letters, digits, _ and -")
    return text


def read_json(text: str) -> Any:
    """Read a value."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise typer.BadParameter(
            f"{text!r} is not JSON ({error}): text needs quotes of its own, as in '\"text\"'"
        ) from error


def read_json_or_text(text: str) -> Any:
    """Read an argument of a call: JSON, or else the text as it is."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text


def read_any_tag(text: str) -> tuple[str, str]:
    """Read a tag written as `key=value`."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise typer.BadParameter(f"{text!r} is no tag: write key=value")
    try:
        text.encode()  # the shell may pass bytes that are no text
        requests.check_tags({key: value})
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return key, value


def read_tag(text: str) -> tuple[str, str]:
    """Read a tag written as `key=value` that a user may set."""
    key, value = read_any_tag(text)
    try:
        make_options(tags={key: value})
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error
    return key, value


def offered_ids(incomplete: str) -> list[str]:
    """Ids of promises that a shell may offer."""
    from resonate_broker.cli.completion import complete_id  # it loads much, and only for TAB

    return complete_id(incomplete)


def offered_schedules(incomplete: str) -> list[str]:
    """Ids of schedules that a shell may offer."""
    from resonate_broker.cli.completion import complete_schedule

    return complete_schedule(incomplete)


def offered_triggers(incomplete: str) -> list[str]:
    """Ids of triggers that a shell may offer."""
    from resonate_broker.cli.completion import complete_trigger

    return complete_trigger(incomplete)


def offered_groups(incomplete: str) -> list[str]:
    """Groups that a shell may offer."""
    from resonate_broker.cli.completion import complete_group

    return complete_group(incomplete)


PromiseId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Id of the promise.",
        parser=read_id,
        autocompletion=offered_ids,
        show_default=False,
    ),
]
TaskId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Id of the task's promise.",
        parser=read_id,
        autocompletion=offered_ids,
        show_default=False,
    ),
]
LimitOption = Annotated[
    int,
    typer.Option(
        "--limit",
        metavar="COUNT",
        help="No more than so many.",
        min=1,
        max=limits.SEARCH_PAGE_MAX,
    ),
]
CursorOption = Annotated[
    str | None,
    typer.Option(
        "--cursor",
        metavar="CURSOR",
        help="Go on where a search has ended.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
