"""`resonate groups`: limits of worker groups."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from resonate_broker.cli.arguments import DryRun, offered_groups
from resonate_broker.cli.client import Client, talk
from resonate_broker.cli.durations import format_duration
from resonate_broker.cli.foretelling import foretell
from resonate_broker.cli.output import Output, plain
from resonate_broker.cli.promise_view import field
from resonate_broker.cli.settings import AsJson, ConfigFile, Namespace, Url, client_settings
from resonate_broker.cli.watching import View, Watch, show
from resonate_broker.config import Config
from resonate_broker.durations import UNITS_MS, parse_duration
from resonate_sdk.clock import now_ms
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import GroupRecord, Rate
from resonate_sdk.protocol.requests import GroupGet, GroupList, GroupSet, Request
from resonate_sdk.protocol.responses import GroupData, GroupPage

_RATE = re.compile(r"([0-9]{1,7})/(.+)")


def read_group(text: str) -> str:
    """Read the name of a group."""
    if not re.fullmatch(limits.NAME_PATTERN, text):
        raise typer.BadParameter(f"{text!r} is no group: 1 to 64 of A-Z, a-z, 0-9, _ and -")
    return text


def read_rate(text: str) -> Rate:
    """Read a rate: so many in so much time."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no rate: write 10/s, 100/m or 5/30s")
    count, per = int(match[1]), match[2]
    try:
        per_ms = UNITS_MS.get(per) or parse_duration(per)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no rate: {error}") from error
    if not 1 <= count <= limits.RATE_COUNT_MAX or per_ms > limits.RATE_PER_MS_MAX:
        raise typer.BadParameter(
            f"{text!r} is out of range: 1 to {limits.RATE_COUNT_MAX} in a day or less"
        )
    return Rate(count=count, per_ms=per_ms)


GroupName = Annotated[
    str,
    typer.Argument(
        metavar="GROUP",
        help="The group.",
        parser=read_group,
        autocompletion=offered_groups,
        show_default=False,
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        metavar="COUNT",
        help="Executions at a time; 0 stops the group.",
        min=0,
        max=limits.PLACES_MAX,
        show_default=False,
    ),
]
KeyConcurrency = Annotated[
    int | None,
    typer.Option(
        "--key-concurrency",
        metavar="COUNT",
        help="Executions at a time with the same tag resonate:key.",
        min=0,
        max=limits.PLACES_MAX,
        show_default=False,
    ),
]
RateOption = Annotated[
    Any,
    typer.Option(
        "--rate",
        metavar="N/TIME",
        help="Executions that start, as 10/s, 100/m or 5/30s.",
        parser=read_rate,
        show_default=False,
    ),
]
KeyRateOption = Annotated[
    Any,
    typer.Option(
        "--key-rate",
        metavar="N/TIME",
        help="Executions that start with the same tag resonate:key.",
        parser=read_rate,
        show_default=False,
    ),
]

app = typer.Typer()


@app.callback(invoke_without_command=True, epilog="Example: resonate groups list")
def groups(context: typer.Context) -> None:
    """Limit how many executions worker groups have at a time, and how fast they start."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("set", epilog="Example: resonate groups set mail --concurrency 20 --key-rate 10/s")
def set_limits(
    group: GroupName,
    concurrency: Concurrency = None,
    key_concurrency: KeyConcurrency = None,
    rate: RateOption = None,
    key_rate: KeyRateOption = None,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Replace the limits of a group; what is not given is not limited. What runs goes on."""
    if all(limit is None for limit in (concurrency, key_concurrency, rate, key_rate)):
        raise typer.BadParameter("give a limit, or let the group go: resonate groups unset")
    request = GroupSet(
        name=group,
        concurrency=concurrency,
        key_concurrency=key_concurrency,
        rate=rate,
        key_rate=key_rate,
    )
    _put(client_settings(config, url, namespace), request, dry_run=dry_run, as_json=as_json)


@app.command("get", epilog="Example: resonate groups get mail")
def get(
    group: GroupName,
    is_watched: Watch = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the limits of a group, and how many executions it has."""
    settings = client_settings(config, url, namespace)

    def look() -> View:
        record = talk(settings, lambda client: _group(client, GroupGet(name=group)))
        return View(document=_document(record), lines=tuple(_lines(record)))

    show(Output(as_json=as_json), look, is_watched=is_watched)


@app.command("unset", epilog="Example: resonate groups unset mail")
def unset(
    group: GroupName,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a group have as many executions as its workers take."""
    settings = client_settings(config, url, namespace)
    _put(settings, GroupSet(name=group), dry_run=dry_run, as_json=as_json)


@app.command("list", epilog="Example: resonate groups list --json")
def list_groups(
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the groups that have limits."""
    settings = client_settings(config, url, namespace)
    page = talk(settings, lambda client: client.ask_for(GroupPage, GroupList()))
    lines = [Text(plain(f"{record.name}  {_summary(record)}")) for record in page.groups]
    document = {"groups": [_document(record) for record in page.groups]}
    Output(as_json=as_json).show(document, lines or [Text("no group has limits")])


def _put(settings: Config, request: GroupSet, *, dry_run: bool, as_json: bool) -> None:
    if not dry_run:
        record = talk(settings, lambda client: _group(client, request))
        Output(as_json=as_json).show(_document(record), _lines(record))
        return
    record = talk(settings, lambda client: _group(client, GroupGet(name=request.name)))
    wanted = GroupRecord(
        name=request.name,
        concurrency=request.concurrency,
        key_concurrency=request.key_concurrency,
        rate=request.rate,
        key_rate=request.key_rate,
    )
    before, after = _summary(record) or "no limits", _summary(wanted) or "no limits"
    is_change = before != after
    would_be = f"limited to {after}, now {before}" if is_change else ""
    foretell(request.name, would_be, as_json=as_json)


async def _group(client: Client, request: Request) -> GroupRecord:
    return (await client.ask_for(GroupData, request)).group


def _document(record: GroupRecord) -> dict[str, Any]:
    def of(rate: Rate | None) -> Mapping[str, int] | None:
        return None if rate is None else {"count": rate.count, "per_ms": rate.per_ms}

    return {
        "name": record.name,
        "concurrency": record.concurrency,
        "key_concurrency": record.key_concurrency,
        "rate": of(record.rate),
        "key_rate": of(record.key_rate),
        "running": record.running,
        "next_start_at_ms": record.next_start_at_ms,
    }


def _lines(record: GroupRecord) -> Iterator[Text]:
    yield Text(plain(record.name))
    yield field("limits", _summary(record) or "none")
    if record.running is not None:
        yield field("running", f"{record.running}")
    if record.next_start_at_ms is not None:
        yield field("next", f"start in {format_duration(record.next_start_at_ms - now_ms())}")


def _summary(record: GroupRecord) -> str:
    limits = (
        (record.concurrency, f"{record.concurrency} at a time"),
        (record.key_concurrency, f"{record.key_concurrency} of a key at a time"),
        (record.rate, _rate_text(record.rate)),
        (record.key_rate, f"{_rate_text(record.key_rate)} of a key"),
    )
    return ", ".join(text for limit, text in limits if limit is not None)


def _rate_text(rate: Rate | None) -> str:
    if rate is None:
        return ""
    unit = next((unit for unit, ms in UNITS_MS.items() if ms == rate.per_ms), None)
    return f"{rate.count}/{unit or format_duration(rate.per_ms)}"
