"""`resonate triggers`: let events of any exchange start executions, or settle promises."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from resonate_broker.cli.arguments import DryRun, offered_triggers, read_duration_ms, read_target
from resonate_broker.cli.broker import Depth, count_queues
from resonate_broker.cli.client import Client, talk
from resonate_broker.cli.durations import format_duration
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.foretelling import find, foretell
from resonate_broker.cli.output import Output, plain
from resonate_broker.cli.promise_view import CREATED, EXISTED, field
from resonate_broker.cli.settings import AsJson, ConfigFile, Namespace, Url, client_settings
from resonate_broker.cli.tables import table_lines
from resonate_broker.cli.watching import View, Watch, show
from resonate_broker.config import Config
from resonate_broker.operations.trigger_create import definition_fault
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.requests import (
    Request,
    TriggerCreate,
    TriggerDelete,
    TriggerGet,
    TriggerSearch,
)
from resonate_sdk.protocol.requests.triggers import PROMISE_ID_DEFAULT
from resonate_sdk.protocol.responses import Nothing, TriggerData, TriggerPage
from resonate_sdk.protocol.topology import Names

TriggerId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Id of the trigger.",
        autocompletion=offered_triggers,
        show_default=False,
    ),
]
ExchangeOption = Annotated[
    str,
    typer.Option(
        "--exchange",
        metavar="EXCHANGE",
        help="Where the events are published.",
        show_default=False,
    ),
]
RoutingKeyOption = Annotated[
    str,
    typer.Option(
        "--routing-key",
        metavar="KEY",
        help="Which of them: a key, or for a topic exchange a pattern as order.*.",
        show_default=False,
    ),
]
FuncOption = Annotated[
    str | None,
    typer.Option(
        "--func", metavar="NAME", help="The function that an event starts.", show_default=False
    ),
]
TargetOption = Annotated[
    Any,
    typer.Option(
        "--target",
        metavar="GROUP",
        help="The workers that run it.",
        parser=read_target,
        show_default=False,
    ),
]
PromiseIdOption = Annotated[
    str | None,
    typer.Option(
        "--promise-id",
        metavar="TEMPLATE",
        help=(
            "Ids of the promises, of {{.message_id}}, {{.correlation_id}}, {{.headers.NAME}}, "
            "{{.body.FIELD}} and {{.trigger}}. One id is one execution, however often its event "
            f"comes. \\[default: {PROMISE_ID_DEFAULT}]"
        ),
        show_default=False,
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="TEMPLATE",
        help="What limits of the group tell executions apart by, as {{.body.customer}}.",
        show_default=False,
    ),
]
PriorityOption = Annotated[
    str | None,
    typer.Option(
        "--priority",
        metavar="DIGIT|TEMPLATE",
        help="Whose turn it is in the group, 9 goes first: a digit, or as {{.headers.priority}}.",
        show_default=False,
    ),
]
SettleOption = Annotated[
    bool,
    typer.Option(
        "--settle", help="Settle the promise of this id with the event, instead of a start."
    ),
]
TimeoutOption = Annotated[
    Any,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        help="Time from the event to the deadline, as 30s, 1h30m or 2d. \\[default: 365d]",
        parser=read_duration_ms,
        show_default=False,
    ),
]

HEADS = ("TRIGGER", "EVENTS", "EFFECT", "WAITING", "SERVERS")

app = typer.Typer()


@app.callback(invoke_without_command=True, epilog="Example: resonate triggers list")
def triggers(context: typer.Context) -> None:
    """Let events of any exchange start executions, or settle promises."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(
    epilog=(
        "Example: resonate triggers create orders --exchange shop --routing-key order.created "
        "--func fulfil --target orders --promise-id order-{{.body.id}}"
    )
)
def create(
    id: TriggerId,
    exchange: ExchangeOption,
    routing_key: RoutingKeyOption,
    func: FuncOption = None,
    target: TargetOption = None,
    promise_id: PromiseIdOption = None,
    key: KeyOption = None,
    priority: PriorityOption = None,
    settle: SettleOption = False,
    timeout: TimeoutOption = None,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Create a trigger; one that exists is shown as it is.

    When this has ended, no event is missed that is published from then on.
    """
    _check(
        {"--func": func, "--target": target, "--key": key, "--priority": priority},
        promise_id,
        settles=settle,
    )
    try:
        request = TriggerCreate(
            id=id,
            exchange=exchange,
            routing_key=routing_key,
            promise_id=promise_id or PROMISE_ID_DEFAULT,
            func=func,
            target=target,
            key=key,
            priority=priority,
            timeout_ms=timeout or limits.PROMISE_TIMEOUT_MS_DEFAULT,
        )
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    settings = client_settings(config, url, namespace)
    if dry_run:
        fault = definition_fault(request)
        if fault is not None:
            raise CommandError(fault, ExitCode.REFUSED)
        asked = TriggerGet(id=id)
        found = talk(settings, lambda client: find(client, TriggerData, asked))
        foretell(id, "" if found else "created", as_json=as_json)
        if found:
            _check_same(request, found.trigger)
        return
    record = talk(settings, lambda client: _trigger(client, request))
    remark = CREATED if _is_same(request, record) else f"{EXISTED}, with another definition"
    Output(as_json=as_json).show(
        {**_document(record), "same": _is_same(request, record)}, list(_lines(record, remark))
    )
    _check_same(request, record)


@app.command("list", epilog="Example: resonate triggers list")
def list_triggers(
    is_watched: Watch = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List all triggers, with what waits in their queues and how many servers take it."""
    settings = client_settings(config, url, namespace)
    show(Output(as_json=as_json), lambda: _list_view(settings), is_watched=is_watched)


def _list_view(settings: Config) -> View:
    found = talk(settings, lambda client: client.ask_for(TriggerPage, TriggerSearch())).triggers
    depths = _depths(settings, found)
    rows = [
        (record.id, _source(record), _effect(record), *_queue_cells(depths[record.id]))
        for record in found
    ]
    document = {"triggers": [{**_document(r), **_queue_document(depths[r.id])} for r in found]}
    return View(
        document=document, lines=(*table_lines(HEADS, rows),) if rows else (Text("no triggers"),)
    )


@app.command(epilog="Example: resonate triggers get orders")
def get(
    id: TriggerId,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show a trigger, and its queue."""
    settings = client_settings(config, url, namespace)
    record = talk(settings, lambda client: _trigger(client, TriggerGet(id=id)))
    depth = _depths(settings, [record])[id]
    queue = field("queue", f"{Names(settings.namespace).trigger_queue(id)}: {_queue_text(depth)}")
    document = {**_document(record), **_queue_document(depth)}
    Output(as_json=as_json).show(document, [*_lines(record), queue])


@app.command(epilog="Example: resonate triggers delete orders")
def delete(
    id: TriggerId,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """End a trigger, drop the events that wait for it; what it has started goes on."""
    settings = client_settings(config, url, namespace)
    if dry_run:
        talk(settings, lambda client: _trigger(client, TriggerGet(id=id)))
        foretell(id, "deleted", as_json=as_json)
        return
    talk(settings, lambda client: client.ask_for(Nothing, TriggerDelete(id=id)))
    Output(as_json=as_json).show({"id": id, "deleted": True}, [f"{id} deleted"])


def _is_same(request: TriggerCreate, record: TriggerRecord) -> bool:
    names = TriggerCreate.__struct_fields__
    return all(getattr(request, name) == getattr(record, name) for name in names)


def _check_same(request: TriggerCreate, record: TriggerRecord) -> None:
    if not _is_same(request, record):
        raise CommandError(
            f"trigger {record.id!r} exists with another definition: delete it first to replace it",
            ExitCode.OTHER_STATE,
        )


def _check(starts: Mapping[str, str | None], promise_id: str | None, *, settles: bool) -> None:
    """Refuse options that do not go together.

    Args:
        starts: the options of triggers that start something, by their names.
        promise_id: template of the ids.
        settles: whether it starts nothing.

    Raises:
        CommandError: some do not.
    """
    given = [option for option, value in starts.items() if value is not None]
    if settles and given:
        raise CommandError(
            f"--settle settles a promise: {' and '.join(given)} "
            f"{'does' if len(given) == 1 else 'do'} not go with it",
            ExitCode.USAGE,
        )
    if settles and promise_id is None:
        raise CommandError(
            "--settle needs --promise-id, which names the promise of an event", ExitCode.USAGE
        )
    if not settles and not {"--func", "--target"} <= set(given):
        raise CommandError("a trigger needs --func and --target, or --settle", ExitCode.USAGE)


async def _trigger(client: Client, request: Request) -> TriggerRecord:
    return (await client.ask_for(TriggerData, request)).trigger


def _document(record: TriggerRecord) -> Mapping[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def _lines(record: TriggerRecord, remark: str = "") -> Iterator[Text]:
    yield Text(plain(record.id) + (f"  ({remark})" if remark else ""))
    yield field("events", _source(record))
    yield field("effect", _effect(record))
    yield field("promises", f"{record.promise_id}  deadline after {_deadline(record)}")
    if record.key is not None:
        yield field("key", record.key)
    if record.priority is not None:
        yield field("priority", record.priority)


def _depths(settings: Config, records: Sequence[TriggerRecord]) -> Mapping[str, Depth | None]:
    """How the queues fare, by trigger; None for one that is not there, or not yet."""
    queues = {record.id: Names(settings.namespace).trigger_queue(record.id) for record in records}
    counted = count_queues(settings, queues.values())
    return {id: counted[queue] for id, queue in queues.items()}


def _queue_cells(depth: Depth | None) -> tuple[str, str]:
    return (str(depth.ready), str(depth.consumers)) if depth else ("no queue", "0")


def _queue_text(depth: Depth | None) -> str:
    if depth is None:
        return "not there, the servers make it when they look at the trigger"
    taken = f"taken by {depth.consumers} server{'' if depth.consumers == 1 else 's'}"
    waiting = f"{depth.ready} event{'' if depth.ready == 1 else 's'} waiting"
    return f"{waiting}, {taken if depth.consumers else 'no server takes them'}"


def _queue_document(depth: Depth | None) -> Mapping[str, int | None]:
    return {
        "waiting": depth.ready if depth else None,
        "consumers": depth.consumers if depth else None,
    }


def _source(record: TriggerRecord) -> str:
    return f"{record.exchange} {record.routing_key}"


def _effect(record: TriggerRecord) -> str:
    if record.is_ending:
        return "is being deleted"
    if record.func is None:
        return f"settles {record.promise_id}"
    return f"starts {record.func} in {record.target}"


def _deadline(record: TriggerRecord) -> str:
    return format_duration(record.timeout_ms)
