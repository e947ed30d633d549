"""`resonate schedules`: create promises at the instants of a calendar."""

from typing import Annotated, Any, Literal

import typer

from resonate_broker.cli.arguments import (
    CursorOption,
    DryRun,
    LimitOption,
    offered_schedules,
    read_duration_ms,
    read_id,
    read_json,
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
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.foretelling import find, foretell
from resonate_broker.cli.output import Output, plain
from resonate_broker.cli.promise_view import CREATED, EXISTED
from resonate_broker.cli.schedule_view import (
    is_same,
    page_lines,
    schedule_document,
    schedule_lines,
)
from resonate_broker.cli.settings import AsJson, ConfigFile, Namespace, Url, client_settings
from resonate_sdk.client.schedules import scheduled_tags
from resonate_sdk.clock import now_ms
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.protocol import addresses, limits, tags as tag
from resonate_sdk.protocol.records import ScheduleRecord
from resonate_sdk.protocol.requests import (
    Request,
    ScheduleCreate,
    ScheduleDelete,
    ScheduleGet,
    ScheduleSearch,
)
from resonate_sdk.protocol.responses import Nothing, ScheduleData, SchedulePage

PROMISE_ID = "{{.id}}.{{.timestamp}}"
PROMISE_TIMEOUT_MS = 86_400_000
DEFAULT_TARGET = addresses.normalize("default")

ScheduleId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Id of the schedule.",
        parser=read_id,
        autocompletion=offered_schedules,
        show_default=False,
    ),
]
CronOption = Annotated[
    str,
    typer.Option(
        "--cron",
        metavar="CRON",
        help="When: minute, hour, day of the month, month, day of the week.",
        show_default=False,
    ),
]
TimezoneOption = Annotated[
    str, typer.Option("--timezone", metavar="ZONE", help="What zone that is meant in.")
]
PromiseIdOption = Annotated[
    str,
    typer.Option(
        "--promise-id",
        metavar="TEMPLATE",
        help="Ids of the promises: {{.id}} is the schedule's, {{.timestamp}} the instant.",
        parser=read_id,
    ),
]
PromiseTimeoutOption = Annotated[
    Any,
    typer.Option(
        "--promise-timeout",
        metavar="DURATION",
        help="Time from the instant to the deadline, as 30s, 1h30m or 2d. \\[default: 1d]",
        parser=read_duration_ms,
        show_default=False,
    ),
]
PromiseParamOption = Annotated[
    Any,
    typer.Option(
        "--promise-param",
        metavar="JSON",
        help="What the promises tell about themselves.",
        parser=read_json,
        show_default=False,
    ),
]
PromiseTagsOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--promise-tags",
        metavar="KEY=VALUE",
        help="A tag of the promises; may be repeated.",
        parser=read_tag,
        show_default=False,
    ),
]
TargetOption = Annotated[
    Any,
    typer.Option(
        "--target",
        metavar="GROUP",
        help="The workers that run the promises; with --func those of default, else nobody.",
        parser=read_target,
        show_default=False,
    ),
]
OverlapOption = Annotated[
    Literal["allow", "skip"],
    typer.Option("--overlap", help="When the promise before is pending: another one, or none."),
]
MissedOption = Annotated[
    Literal["all", "latest", "none"],
    typer.Option("--missed", help="Which instants are made up for after an outage."),
]
TagsOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--tags",
        metavar="KEY=VALUE",
        help="A tag that their promises get; may be repeated.",
        parser=read_tag,
        show_default=False,
    ),
]
app = typer.Typer()


@app.callback(invoke_without_command=True, epilog="Example: resonate schedules get report")
def schedules(context: typer.Context) -> None:
    """Create promises again and again, at the instants of a calendar."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog="Example: resonate schedules get report")
def get(
    id: ScheduleId,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show a schedule: when it is due, and what it creates."""
    settings = client_settings(config, url, namespace)
    record = talk(settings, lambda client: _schedule(client, ScheduleGet(id=id)))
    Output(as_json=as_json).show(schedule_document(record), schedule_lines(record, now_ms()))


@app.command(
    epilog=(
        """Example: resonate schedules create report --cron "0 9 * * 1-5" """
        "--timezone Europe/Berlin --func report --arg sales --target reports"
    )
)
def create(
    id: ScheduleId,
    cron: CronOption,
    func: Annotated[str | None, FUNC] = None,
    arg: ArgOption = None,
    json_args: JsonArgsOption = None,
    version: VersionOption = 1,
    timezone: TimezoneOption = "UTC",
    promise_id: PromiseIdOption = PROMISE_ID,
    promise_timeout: PromiseTimeoutOption = None,
    promise_param: PromiseParamOption = None,
    promise_tags: PromiseTagsOption = None,
    target: TargetOption = None,
    overlap: OverlapOption = "allow",
    missed: MissedOption = "all",
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Create a schedule; one that exists is shown as it is.

    With --func its promises are calls, which a worker group runs; without, somebody settles them.
    """
    given = dict(promise_tags or ())
    if func is not None:
        if promise_param is not None:
            raise typer.BadParameter("--func says what --promise-param would: give one of them")
        param = encoded_call(func, version, arg or (), json_args)
        call_tags = scheduled_tags(tag.function(func, version), target or DEFAULT_TARGET)
    else:
        if arg or json_args is not None or version != 1:
            raise typer.BadParameter("arguments and versions are of a function: name it by --func")
        param = Codec().encode(promise_param)
        call_tags = {} if target is None else {tag.TARGET: target}
    try:
        request = ScheduleCreate(
            id=id,
            cron=cron,
            timezone=timezone,
            promise_id=promise_id,
            promise_timeout_ms=promise_timeout or PROMISE_TIMEOUT_MS,
            promise_param=param,
            promise_tags={**given, **call_tags},
            overlap=overlap,
            missed=missed,
        )
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    settings = client_settings(config, url, namespace)
    if dry_run:
        asked = ScheduleGet(id=id)
        found = talk(settings, lambda client: find(client, ScheduleData, asked))
        foretell(id, "" if found else "created", as_json=as_json)
        if found:
            _check_same(request, found.schedule)
        return
    record = talk(settings, lambda client: _schedule(client, request))
    remark = CREATED if is_same(request, record) else f"{EXISTED}, with another definition"
    document = {**schedule_document(record), "same": is_same(request, record)}
    Output(as_json=as_json).show(document, schedule_lines(record, now_ms(), remark))
    _check_same(request, record)


@app.command(epilog="Example: resonate schedules delete report")
def delete(
    id: ScheduleId,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """End a schedule; the promises it has created stay."""
    settings = client_settings(config, url, namespace)
    if dry_run:
        talk(settings, lambda client: _schedule(client, ScheduleGet(id=id)))
        foretell(id, "deleted", as_json=as_json)
        return
    talk(settings, lambda client: client.ask_for(Nothing, ScheduleDelete(id=id)))
    Output(as_json=as_json).show({"id": id, "deleted": True}, [f"{plain(id)} deleted"])


@app.command(epilog="Example: resonate schedules search --tags team=sales")
def search(
    tags: TagsOption = None,
    limit: LimitOption = limits.SCHEDULE_PAGE_DEFAULT,
    cursor: CursorOption = None,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List schedules."""
    request = ScheduleSearch(tags=dict(tags or ()), limit=limit, cursor=cursor)
    settings = client_settings(config, url, namespace)
    page = talk(settings, lambda client: client.ask_for(SchedulePage, request))
    document = {
        "schedules": [schedule_document(record) for record in page.schedules],
        "cursor": page.cursor,
    }
    Output(as_json=as_json).show(document, page_lines(page, now_ms()))


def _check_same(request: ScheduleCreate, record: ScheduleRecord) -> None:
    if not is_same(request, record):
        raise CommandError(
            f"schedule {record.id!r} exists with another definition: delete it first to replace it",
            ExitCode.OTHER_STATE,
        )


async def _schedule(client: Client, request: Request) -> ScheduleRecord:
    return (await client.ask_for(ScheduleData, request)).schedule
