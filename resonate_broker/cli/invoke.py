"""`resonate invoke`: call a function of a worker group."""

import asyncio
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from resonate_broker.cli.arguments import (
    DryRun,
    PromiseId,
    read_duration_ms,
    read_tag,
    read_target,
)
from resonate_broker.cli.calls import (
    FUNC,
    ArgOption,
    JsonArgsOption,
    VersionOption,
    encoded_call,
)
from resonate_broker.cli.client import Client, talk
from resonate_broker.cli.durations import format_duration
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.foretelling import foretell_creation
from resonate_broker.cli.output import Output, plain
from resonate_broker.cli.promise_view import (
    CREATED,
    WORDS,
    created_remark,
    failure_text,
    promise_document,
    promise_lines,
)
from resonate_broker.cli.settings import AsJson, ConfigFile, Namespace, Url, client_settings
from resonate_broker.durations import parse_duration
from resonate_sdk.client.roots import root_request
from resonate_sdk.clock import now_ms
from resonate_sdk.options import Options
from resonate_sdk.protocol import limits, tags as tag
from resonate_sdk.protocol.records import PromiseRecord, Value
from resonate_sdk.protocol.requests import PromiseCreate

WAIT = "--wait"
FOR_EVER = "for ever"
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LOOKS_LIKE_TIME = re.compile(r"[0-9][0-9.dhms]*")

EXAMPLES = (
    "Examples:\n\n"
    "resonate invoke order-17 -f place_order --arg 17 --arg express --wait\n\n"
    """resonate invoke report-9 -f report --json-args '{"year": 2026}' """
    "--target reports --delay 1h30m"
)


class InvokeCommand(TyperCommand):
    """Lets `--wait` stand without a value, which typer has no way to say."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give every `--wait` a value."""
        options = [param for param in self.params if param.opts[0].startswith("-")]
        with_value = {name for option in options if not _is_flag(option) for name in option.opts}
        return super().parse_args(ctx, complete_wait(args, with_value - {WAIT}))


def complete_wait(arguments: Sequence[str], with_value: Set[str]) -> list[str]:
    """Write `--wait` and `--wait 30` as `--wait=…`, so that the option always has a value.

    Args:
        arguments: of the command.
        with_value: the other options that are followed by a value, whatever that looks like.
    """
    completed: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*completed, argument, *rest]
        if argument == WAIT:
            has_value = bool(rest) and _LOOKS_LIKE_TIME.fullmatch(rest[0])
            argument = f"{WAIT}={rest.pop(0) if has_value else FOR_EVER}"
        completed.append(argument)
        if argument in with_value and rest:
            completed.append(rest.pop(0))
    return completed


def read_wait_s(text: str) -> float:
    """Read how long to wait, in seconds."""
    if text == FOR_EVER:
        return math.inf
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        return parse_duration(text) / 1000
    except ValueError as error:
        raise typer.BadParameter(f"{error}, or a number of seconds") from error


def invoke(
    id: PromiseId,
    func: Annotated[str, FUNC],
    arg: ArgOption = None,
    json_args: JsonArgsOption = None,
    version: VersionOption = 1,
    timeout: Annotated[
        int | None,
        typer.Option(
            "--timeout",
            "-t",
            metavar="DURATION",
            help="Time until its deadline, as 30s, 1h30m or 2d.",
            parser=read_duration_ms,
            show_default="1 year",
        ),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            "--target",
            metavar="GROUP|ADDRESS",
            help="Who runs it: a worker group, or an address as amqp://uni@group/pid.",
            parser=read_target,
        ),
    ] = "default",
    delay: Annotated[
        int | None,
        typer.Option(
            "--delay",
            metavar="DURATION",
            help="Start it that much later, as 500ms or 1h; the deadline moves along.",
            parser=read_duration_ms,
            show_default=False,
        ),
    ] = None,
    tags: Annotated[
        list[Any] | None,
        typer.Option(
            "--tags",
            metavar="KEY=VALUE",
            help="A tag to find it by, or resonate:key and resonate:priority; may be repeated.",
            parser=read_tag,
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            WAIT,
            metavar="[SECONDS]",
            help="Wait for the result, without a number as long as it takes.",
            parser=read_wait_s,
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Call a function of a worker group; an id that exists is shown and not called again.

    With --wait the exit code is 1 if the call failed, and 5 if it is still under way.
    """
    request = call_request(
        id,
        encoded_call(func, version, arg or (), json_args),
        tag.function(func, version),
        timeout_ms=limits.PROMISE_TIMEOUT_MS_DEFAULT if timeout is None else timeout,
        target=target,
        delay_ms=delay,
        tags=dict(tags or ()),
        now_ms=now_ms(),
    )
    settings = client_settings(config, url, namespace)
    if dry_run:
        foretell_creation(settings, id, as_json=as_json)
        return
    output = Output(as_json=as_json)

    def on_created(record: PromiseRecord) -> None:
        output.note(f"{plain(id)}: {created_remark(request, record)}, waiting for the result")

    try:
        record = talk(settings, lambda client: _call(client, request, wait, on_created))
    except KeyboardInterrupt:
        raise CommandError(
            f"interrupted; what was created goes on: resonate tree {shlex.quote(id)}",
            ExitCode.INTERRUPTED,
        ) from None
    remark = created_remark(request, record)
    document = {**promise_document(record), "created": remark == CREATED}
    output.show(document, promise_lines(record, now_ms(), remark))
    if wait is not None:
        _expect_result(record, wait)


def call_request(
    id: str,
    call: Value,
    function: str,
    *,
    timeout_ms: int,
    target: str,
    delay_ms: int | None,
    tags: Mapping[str, str],
    now_ms: int,
) -> PromiseCreate:
    """The promise of a call, as `Resonate.rpc` makes it.

    Args:
        id: of the execution.
        call: what it calls, encoded.
        function: what it calls, as a tag.
        timeout_ms: from its start to its deadline.
        target: who runs it.
        delay_ms: how much later it starts; None: at once.
        tags: to find it by.
        now_ms: the instant, epoch ms.

    Raises:
        CommandError: it breaks a limit.
    """
    start_at_ms = now_ms + (delay_ms or 0)
    delay = {} if delay_ms is None else {tag.DELAY: str(start_at_ms)}
    given = Options(timeout_s=timeout_ms / 1000, tags={**tags, **delay})
    try:
        return root_request(id, call, function, given, default_target=target, now_ms=start_at_ms)
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error


async def _call(
    client: Client,
    request: PromiseCreate,
    wait_s: float | None,
    on_created: Callable[[PromiseRecord], None],
) -> PromiseRecord:
    record = await client.promise(request)
    if wait_s is None or record.state != "pending":
        return record
    on_created(record)
    try:
        async with asyncio.timeout(None if math.isinf(wait_s) else wait_s):
            return await client.settled(request.id)
    except TimeoutError:
        return record


def _expect_result(record: PromiseRecord, wait_s: float) -> None:
    """Refuse everything but a value."""
    if record.state == "pending":
        waited = format_duration(round(wait_s * 1000))
        raise CommandError(
            f"promise {record.id!r} is still pending after {waited}", ExitCode.OTHER_STATE
        )
    if record.state != "resolved":
        reason = failure_text(record)
        raise CommandError(
            f"promise {record.id!r} was {WORDS[record.state]}" + (f": {reason}" if reason else ""),
            ExitCode.REFUSED,
        )


def _is_flag(option: Any) -> bool:
    return bool(getattr(option, "is_flag", False))
