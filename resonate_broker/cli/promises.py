"""`resonate promises`: look at promises, create and settle them."""

from typing import Annotated, Any

import typer

from resonate_broker.cli.arguments import (
    CursorOption,
    DryRun,
    LimitOption,
    PromiseId,
    read_any_tag,
    read_duration_ms,
    read_json,
    read_tag,
)
from resonate_broker.cli.client import talk
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.foretelling import foretell, foretell_creation
from resonate_broker.cli.output import Output
from resonate_broker.cli.promise_view import (
    CREATED,
    WORDS,
    created_remark,
    page_lines,
    promise_document,
    promise_lines,
)
from resonate_broker.cli.settings import AsJson, ConfigFile, Namespace, Url, client_settings
from resonate_broker.config import Config
from resonate_sdk.clock import now_ms
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.protocol import limits, tags as tag
from resonate_sdk.protocol.records import PromiseRecord, PromiseState, SettleState
from resonate_sdk.protocol.requests import (
    PromiseCreate,
    PromiseGet,
    PromiseSearch,
    PromiseSettle,
    Request,
)
from resonate_sdk.protocol.responses import PromisePage

ParamOption = Annotated[
    Any,
    typer.Option(
        "--param",
        metavar="JSON",
        help="What the promise tells about itself.",
        parser=read_json,
        show_default=False,
    ),
]
ValueOption = Annotated[
    Any,
    typer.Option(
        "--value",
        metavar="JSON",
        help="What it is settled with; nothing by default.",
        parser=read_json,
        show_default=False,
    ),
]
TimeoutOption = Annotated[
    int,
    typer.Option(
        "--timeout",
        "-t",
        metavar="DURATION",
        help="Time until its deadline, as 30s, 1h30m or 2d: then it times out.",
        parser=read_duration_ms,
        show_default=False,
    ),
]
TagsOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--tags",
        metavar="KEY=VALUE",
        help="A tag to find it by; may be repeated.",
        parser=read_tag,
        show_default=False,
    ),
]

StateOption = Annotated[
    PromiseState | None,
    typer.Option("--state", help="Only promises in this state.", show_default=False),
]
SearchTagsOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--tags",
        metavar="KEY=VALUE",
        help="A tag that they have, those of the system too; may be repeated.",
        parser=read_any_tag,
        show_default=False,
    ),
]

app = typer.Typer()


@app.callback(invoke_without_command=True, epilog="Example: resonate promises get order-17")
def promises(context: typer.Context) -> None:
    """Look at promises, create and settle them."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog="Example: resonate promises get order-17")
def get(
    id: PromiseId,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show a promise: its state, its value, and what it was created with."""
    settings = client_settings(config, url, namespace)
    _show(_ask(settings, PromiseGet(id=id)), as_json=as_json)


@app.command(
    epilog=(
        "Example: resonate promises create approval-17 --timeout 2d "
        """--param '{"order": 17}' --tags team=sales"""
    )
)
def create(
    id: PromiseId,
    timeout: TimeoutOption,
    param: ParamOption = None,
    tags: TagsOption = None,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Create a promise for somebody to settle; one that exists is shown as it is."""
    request = create_request(id, timeout, param, dict(tags or ()), now_ms())
    settings = client_settings(config, url, namespace)
    if dry_run:
        foretell_creation(settings, id, as_json=as_json)
        return
    record = _ask(settings, request)
    remark = created_remark(request, record)
    document = {**promise_document(record), "created": remark == CREATED}
    Output(as_json=as_json).show(document, promise_lines(record, now_ms(), remark))


@app.command(epilog="Example: resonate promises search --state pending --tags team=sales")
def search(
    state: StateOption = None,
    tags: SearchTagsOption = None,
    limit: LimitOption = limits.SEARCH_PAGE_DEFAULT,
    cursor: CursorOption = None,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List promises, by their ids."""
    request = PromiseSearch(state=state, tags=dict(tags or ()), limit=limit, cursor=cursor)
    settings = client_settings(config, url, namespace)
    page = talk(settings, lambda client: client.ask_for(PromisePage, request))
    document = {
        "promises": [promise_document(record) for record in page.promises],
        "cursor": page.cursor,
    }
    Output(as_json=as_json).show(document, page_lines(page.promises, page.cursor, now_ms()))


@app.command(epilog="Example: resonate promises resolve approval-17 --value true")
def resolve(
    id: PromiseId,
    value: ValueOption = None,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Resolve a promise: whoever waits for it gets the value."""
    settings = client_settings(config, url, namespace)
    _settle(settings, id, "resolved", value, dry_run=dry_run, as_json=as_json)


@app.command(
    epilog=(
        "Example: resonate promises reject approval-17 "
        """--value '{"__type": "error", "message": "too expensive"}'"""
    )
)
def reject(
    id: PromiseId,
    value: ValueOption = None,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Reject a promise: whoever waits for it gets an error."""
    settings = client_settings(config, url, namespace)
    _settle(settings, id, "rejected", value, dry_run=dry_run, as_json=as_json)


@app.command(epilog="Example: resonate promises cancel order-17")
def cancel(
    id: PromiseId,
    value: ValueOption = None,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a promise; what it has called already goes on."""
    settings = client_settings(config, url, namespace)
    _settle(settings, id, "rejected_canceled", value, dry_run=dry_run, as_json=as_json)


def create_request(
    id: str, timeout_ms: int, param: Any, tags: dict[str, str], now_ms: int
) -> PromiseCreate:
    """The promise to create, as `Promises.create` of the SDK makes it.

    Raises:
        CommandError: all in all it breaks a limit.
    """
    own = {tag.SCOPE: tag.SCOPE_GLOBAL, tag.EXTERNAL: tag.TRUE}
    try:
        return PromiseCreate(
            id=id,
            timeout_at_ms=now_ms + timeout_ms,
            param=Codec().encode(param),
            tags={**tags, **own},
        )
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error


def _settle(
    settings: Config, id: str, state: SettleState, value: Any, *, dry_run: bool, as_json: bool
) -> None:
    if dry_run:
        record = _ask(settings, PromiseGet(id=id))
        foretell(id, WORDS[state] if record.state == "pending" else "", as_json=as_json)
        _check_settled(record, state)
        return
    request = PromiseSettle(id=id, state=state, value=Codec().encode(value))
    record = _ask(settings, request)
    remark = ""
    if record.state == state and record.value != request.value:
        remark = "it was already, with another value"
    Output(as_json=as_json).show(promise_document(record), promise_lines(record, now_ms(), remark))
    _check_settled(record, state)


def _check_settled(record: PromiseRecord, state: SettleState) -> None:
    if record.state not in ("pending", state):
        raise CommandError(
            f"promise {record.id!r} is {WORDS[record.state]} already, not {WORDS[state]}",
            ExitCode.OTHER_STATE,
        )


def _ask(settings: Config, request: Request) -> PromiseRecord:
    return talk(settings, lambda client: client.promise(request))


def _show(record: PromiseRecord, *, as_json: bool) -> None:
    Output(as_json=as_json).show(promise_document(record), promise_lines(record, now_ms()))
