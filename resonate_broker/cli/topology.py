"""`resonate topology`: what is declared on RabbitMQ, what should be, and what is wrong with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import msgspec
import typer
from rich.text import Text

from resonate_broker.cli.arguments import DryRun, read_group
from resonate_broker.cli.broker import count_queues, in_session
from resonate_broker.cli.client import NobodyAnswersError, talk
from resonate_broker.cli.declared import Declaration, Declared, binding_keys, compare
from resonate_broker.cli.diagnosis import Broker, Facts, Finding, Level, diagnose, examine
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.management import Management, ManagementError, management_of
from resonate_broker.cli.output import Output
from resonate_broker.cli.progress import progress
from resonate_broker.cli.settings import (
    AsJson,
    ConfigFile,
    ManagementUrl,
    Namespace,
    Url,
    client_settings,
    operator_settings,
)
from resonate_broker.cli.tables import table_lines
from resonate_broker.cli.topology_documents import (
    asyncapi,
    definitions,
    permission_commands,
    permission_documents,
    whole_topology,
)
from resonate_broker.cli.traps import Answer
from resonate_broker.config import Config
from resonate_sdk.protocol.permissions import (
    Permissions,
    client_permissions,
    operator_permissions,
    publisher_permissions,
    server_permissions,
    subscriber_permissions,
    worker_permissions,
)
from resonate_sdk.protocol.topology import Names, Topology, events_topology, group_topology

if TYPE_CHECKING:  # the client libraries are loaded when they are needed
    from resonate_sdk.amqp.session import Session

HEADS = ("STATE", "KIND", "NAME", "TYPE OR KEY", "DIFFERENCE")
STATE_COLOURS = {"there": "green", "missing": "red", "different": "red", "unseen": "yellow"}
LEVEL_COLOURS = {"ok": "green", "warning": "yellow", "error": "red", "unseen": "yellow"}

Format = Literal["definitions", "permissions", "asyncapi"]
GroupsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        metavar="GROUP",
        help="A worker group; may be repeated. The servers make groups when they meet them.",
        parser=read_group,
        show_default=False,
    ),
]

app = typer.Typer()


@app.callback(invoke_without_command=True, epilog="Example: resonate topology doctor")
def topology(context: typer.Context) -> None:
    """Show, declare, export and examine what the servers need on RabbitMQ."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog="Example: resonate topology show --group billing")
def show(
    group: GroupsOption = None,
    url: Url = None,
    management_url: ManagementUrl = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what should be declared, and whether it is.

    With the management API, groups that exist are shown unasked, and arguments are compared.
    """
    settings = operator_settings(config, url, management_url, namespace)
    output = Output(as_json=as_json)
    management, blind = _management(settings)
    groups = _groups(settings, management, group or ())
    declarations = _declarations(settings, management, groups)
    document = {"objects": [msgspec.structs.asdict(each) for each in declarations], "unseen": blind}
    output.show(document, table_lines(HEADS, [_row(each) for each in declarations]))
    if blind:
        output.note(Text(f"Not compared: arguments and bindings: {blind}", style="yellow"))


@app.command(epilog="Example: resonate topology apply --group billing --dry-run")
def apply(
    group: GroupsOption = None,
    dry_run: DryRun = False,
    url: Url = None,
    management_url: ManagementUrl = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Declare what is missing; servers do the same by themselves where they are allowed to."""
    settings = operator_settings(config, url, management_url, namespace)
    management, _ = _management(settings)
    groups = tuple(dict.fromkeys(group or ()))
    before = _declarations(settings, management, groups)
    _refuse_different(before)
    missing = [each for each in before if each.state == "missing"]
    if not dry_run:
        try:
            in_session(settings, lambda session: _declare(session, settings, groups))
        except CommandError as error:
            raise _refusal(error) from error
    done = "would be declared" if dry_run else "declared"
    document = {"declared" if not dry_run else "missing": [f"{m.kind} {m.name}" for m in missing]}
    lines = [f"{done}: {each.kind} {each.name} {each.about}".rstrip() for each in missing]
    Output(as_json=as_json).show(document, lines or ["everything is declared"])


@app.command(epilog="Example: resonate topology export --format definitions --group billing")
def export(
    format: Annotated[
        Format,
        typer.Option(
            "--format",
            help="For `rabbitmqctl import_definitions`, for its users, or for documentation.",
        ),
    ] = "definitions",
    group: GroupsOption = None,
    exchange: Annotated[
        list[str] | None,
        typer.Option(
            "--exchange",
            metavar="NAME",
            help=(
                "An exchange of services that are called, or whose events are triggers; may be "
                "repeated. The server may publish to it and bind to it."
            ),
            show_default=False,
        ),
    ] = None,
    user_prefix: Annotated[
        str, typer.Option("--user-prefix", metavar="NAME", help="What the users' names begin with.")
    ] = "resonate",
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="A file for it; without, it is printed."),
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the topology for other tools; nothing is asked and nothing changed."""
    settings = client_settings(config, url, namespace)
    names, groups, vhost = Names(settings.namespace), tuple(group or ()), _vhost(settings)
    match format:
        case "definitions":
            text = _json(definitions(_wanted(settings, groups), vhost))
        case "asyncapi":
            text = _json(asyncapi(names, settings.partitions, groups, settings.url, vhost))
        case "permissions":
            users = _users(names, groups, exchange or ())
            if as_json:
                text = _json(permission_documents(users, vhost, user_prefix))
            else:
                text = "\n".join(permission_commands(users, vhost, user_prefix))
    if output is None:
        typer.echo(text)
        return
    try:
        output.write_text(f"{text}\n")
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}", ExitCode.USAGE) from error
    document = {"format": format, "file": str(output)}
    Output(as_json=as_json).show(document, [f"Wrote {format} to {output}"])


@app.command(epilog="Example: resonate topology doctor --management-url http://rabbit:15672")
def doctor(
    group: GroupsOption = None,
    url: Url = None,
    management_url: ManagementUrl = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Examine the broker: what is declared, who is there, and the traps of RabbitMQ's versions.

    The exit code is 5 if there is an error, also if there are warnings it is 0.
    """
    settings = operator_settings(config, url, management_url, namespace)
    management, blind = _management(settings)
    facts = _facts(settings, management, blind, group or ())
    findings = diagnose(facts)
    traps = examine(facts, findings)
    document = {
        "findings": [msgspec.structs.asdict(finding) for finding in findings],
        "traps": [msgspec.structs.asdict(trap) for trap in traps],
    }
    lines = [*map(_finding_line, findings), Text(), *map(_trap_line, traps)]
    Output(as_json=as_json).show(document, lines)
    errors = sum(1 for finding in findings if finding.level == "error")
    if errors:
        raise CommandError(
            f"{errors} {'thing is' if errors == 1 else 'things are'} wrong", ExitCode.OTHER_STATE
        )


def _facts(
    settings: Config, management: Management | None, blind: str, asked: Sequence[str]
) -> Facts:
    names = Names(settings.namespace)
    groups = _groups(settings, management, asked)
    declarations = _declarations(settings, management, groups)
    queues = [each.name for each in declarations if each.kind == "queue"]
    depths = count_queues(settings, queues, has_bar=True)
    trouble = None
    try:
        talk(settings, _nothing)
    except NobodyAnswersError as error:
        trouble = str(error)
    return Facts(
        names=names,
        declarations=declarations,
        depths=depths,
        groups=groups,
        server_trouble=trouble,
        broker=None if management is None else _broker(management),
        blind=blind,
    )


async def _nothing(_: object) -> None:
    """Being welcomed by a server is all that is wanted."""


def _broker(management: Management) -> Broker:
    return Broker(
        version=management.overview().rabbitmq_version,
        nodes=management.nodes(),
        queues=management.queues(),
        connections=management.connections(),
        channels=management.channels(),
        flags=management.feature_flags(),
    )


def _management(settings: Config) -> tuple[Management | None, str]:
    """The management API if it can be used, or else why not."""
    try:
        management = management_of(settings)
        management.overview()
    except ManagementError as error:
        return None, str(error)
    return management, ""


def _groups(
    settings: Config, management: Management | None, asked: Sequence[str]
) -> tuple[str, ...]:
    names = Names(settings.namespace)
    found = set(asked)
    if management is not None:
        found |= {group for q in management.queues() if (group := names.group_of(q.name))}
    return tuple(sorted(found))


def _wanted(settings: Config, groups: Sequence[str]) -> Topology:
    names, events = Names(settings.namespace), None
    if settings.events.enabled:
        events = events_topology(names, log_days=settings.events.log_days)
    return whole_topology(names, settings.partitions, groups, events)


async def _declare(session: "Session", settings: Config, groups: Sequence[str]) -> None:
    """Declare what is wanted, a group at a time: the broker has a while for each."""
    with progress("declaring groups", len(groups)) as done:
        await session.declare(_wanted(settings, ()))
        for group in groups:
            await session.declare(group_topology(Names(settings.namespace), group))
            done()


def _declarations(
    settings: Config, management: Management | None, groups: Sequence[str]
) -> list[Declaration]:
    wanted = _wanted(settings, groups)
    if management is not None:
        exchanges = {each.name: each for each in management.exchanges()}
        queues = {each.name: each for each in management.queues()}
        declared = Declared(
            exchanges=frozenset(exchanges),
            queues=frozenset(queues),
            exchange_details=exchanges,
            queue_details=queues,
            bindings=binding_keys(management.bindings()),
        )
        return compare(wanted, declared)

    async def look(session: "Session") -> Declared:
        exchanges, queues = set[str](), set[str]()
        with progress("looking", len(wanted.exchanges) + len(wanted.queues)) as done:
            for exchange in wanted.exchanges:
                if await session.has_exchange(exchange.name):
                    exchanges.add(exchange.name)
                done()
            for queue in wanted.queues:
                if await session.count(queue.name) is not None:
                    queues.add(queue.name)
                done()
        return Declared(exchanges=frozenset(exchanges), queues=frozenset(queues))

    return compare(wanted, in_session(settings, look))


def _refuse_different(declarations: Sequence[Declaration]) -> None:
    for each in declarations:
        if each.state == "different":
            raise CommandError(
                f"{each.kind} {each.name} exists with other arguments ({each.difference}): "
                "delete it first, when it is empty",
                ExitCode.OTHER_STATE,
            )


def _refusal(error: CommandError) -> CommandError:
    """What the broker says to a declaration that it refuses."""
    text = str(error)
    if "PRECONDITION_FAILED" in text:
        return CommandError(text, ExitCode.OTHER_STATE)
    return CommandError(text, ExitCode.REFUSED) if "ACCESS_REFUSED" in text else error


def _users(names: Names, groups: Sequence[str], exchanges: Sequence[str]) -> list[Permissions]:
    return [
        server_permissions(names, exchanges),
        *(worker_permissions(names, group) for group in groups),
        client_permissions(names),
        operator_permissions(names),
        publisher_permissions(names),
        subscriber_permissions(names),
    ]


def _vhost(settings: Config) -> str:
    return unquote(urlsplit(settings.url).path.removeprefix("/")) or "/"


def _json(document: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _row(each: Declaration) -> Sequence[Text | str]:
    state = Text(each.state, style=STATE_COLOURS[each.state])
    return state, each.kind, each.name, each.about, each.difference


def _trap_line(trap: Answer) -> Text:
    level: Level = "ok" if trap.is_fine else "warning"
    level = "unseen" if trap.is_fine is None else level
    line = Text.assemble(
        Text(level.ljust(7), style=LEVEL_COLOURS[level]), "  ", (trap.question, "bold"), " "
    )
    line.append(trap.answer)
    return line.append(f" ({trap.later})" if trap.later else "", style="dim")


def _finding_line(finding: Finding) -> Text:
    level = Text(finding.level.ljust(7), style=LEVEL_COLOURS[finding.level])
    return Text.assemble(level, "  ", (f"{finding.about}: ", "bold"), finding.sentence)
