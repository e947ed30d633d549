"""`resonate tasks`: look at tasks, stop them, let them go on, take them from their holders."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import typer

from resonate_broker.cli.arguments import CursorOption, DryRun, LimitOption, TaskId
from resonate_broker.cli.client import Client, talk
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.output import Output
from resonate_broker.cli.settings import AsJson, ConfigFile, Namespace, Url, client_settings
from resonate_broker.cli.task_view import Work, page_lines, task_document, task_lines
from resonate_broker.config import Config
from resonate_sdk.ask import refusal
from resonate_sdk.clock import now_ms
from resonate_sdk.errors import ConflictError
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import TaskRecord, TaskState
from resonate_sdk.protocol.requests import (
    PromiseGet,
    Request,
    TaskContinue,
    TaskGet,
    TaskHalt,
    TaskRelease,
    TaskSearch,
)
from resonate_sdk.protocol.responses import Nothing, PromiseData, TaskData, TaskPage

# What a dry run foretells; what happens is decided by the server.
HALTED_FROM = frozenset[TaskState]({"pending", "acquired", "suspended", "halted"})
CONTINUED_FROM = frozenset[TaskState]({"halted"})
RELEASED_FROM = frozenset[TaskState]({"acquired"})

StateOption = Annotated[
    TaskState | None,
    typer.Option("--state", help="Only tasks in this state.", show_default=False),
]
VersionOption = Annotated[
    int | None,
    typer.Option(
        "--version",
        metavar="NUMBER",
        help="Only if it is at this version; by default at the one it has now.",
        min=0,
        show_default=False,
    ),
]

app = typer.Typer()


@app.callback(invoke_without_command=True, epilog="Example: resonate tasks search --state halted")
def tasks(context: typer.Context) -> None:
    """Look at tasks, stop them, let them go on, take them from their holders."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog="Example: resonate tasks get order-17")
def get(
    id: TaskId,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show a task: its state, who holds it, and what it runs."""
    work = talk(client_settings(config, url, namespace), lambda client: _work(client, id))
    _show(work, as_json=as_json)


@app.command(epilog="Example: resonate tasks search --state halted")
def search(
    state: StateOption = None,
    limit: LimitOption = limits.SEARCH_PAGE_DEFAULT,
    cursor: CursorOption = None,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List tasks, by their ids."""
    request = TaskSearch(state=state, details=True, limit=limit, cursor=cursor)

    async def found(client: Client) -> tuple[list[Work], str | None]:
        page = await client.ask_for(TaskPage, request)
        return await _with_promises(client, page.tasks), page.cursor

    page, go_on = talk(client_settings(config, url, namespace), found)
    document = {"tasks": [task_document(work) for work in page], "cursor": go_on}
    Output(as_json=as_json).show(document, page_lines(page, go_on, now_ms()))


@app.command(epilog="Example: resonate tasks halt order-17")
def halt(
    id: TaskId,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Stop a task: nobody gets it until it is continued, and who holds it loses it."""
    settings = client_settings(config, url, namespace)
    if dry_run:
        _foretell(settings, id, "halted", HALTED_FROM, as_json=as_json)
        return
    work = talk(settings, lambda client: _change(client, TaskHalt(id=id), id))
    _show(work, as_json=as_json)


@app.command("continue", epilog="Example: resonate tasks continue order-17")
def continue_(
    id: TaskId,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a halted task go on: a worker gets it soon."""
    settings = client_settings(config, url, namespace)
    if dry_run:
        _foretell(settings, id, "continued", CONTINUED_FROM, as_json=as_json)
        return
    work = talk(settings, lambda client: _change(client, TaskContinue(id=id), id))
    _show(work, as_json=as_json)


@app.command(epilog="Example: resonate tasks release order-17")
def release(
    id: TaskId,
    version: VersionOption = None,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take a task from its holder, whose writes are refused from now on, and give it to the group.

    A holder that died needs no help: its lease runs out by itself.
    """
    settings = client_settings(config, url, namespace)
    if dry_run:
        _foretell(settings, id, "released", RELEASED_FROM, as_json=as_json, version=version)
        return

    async def released(client: Client) -> Work:
        held = version
        if held is None:
            held = (await _task(client, id)).version
        return await _change(client, TaskRelease(id=id, version=held), id)

    _show(talk(settings, released), as_json=as_json)


async def _task(client: Client, id: str) -> TaskRecord:
    return (await client.ask_for(TaskData, TaskGet(id=id, details=True))).task


async def _work(client: Client, id: str) -> Work:
    (work,) = await _with_promises(client, (await _task(client, id),))
    return work


async def _with_promises(client: Client, found: tuple[TaskRecord, ...]) -> list[Work]:
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(client.ask(PromiseGet(id=task.id))) for task in found]
    answers = [asked.result().data for asked in asking]
    return [
        Work(task, data.promise if isinstance(data, PromiseData) else None)
        for task, data in zip(found, answers, strict=True)
    ]


async def _change(client: Client, request: Request, id: str) -> Work:
    """Ask for a change of a task; return what it is afterwards."""
    answer = await client.ask(request)
    if isinstance(answer.data, Nothing):
        return await _work(client, id)
    error = refusal(answer)
    if isinstance(error, ConflictError):
        raise CommandError(str(error), ExitCode.OTHER_STATE) from error
    raise error


def _foretell(
    settings: Config,
    id: str,
    word: str,
    possible_from: frozenset[TaskState],
    *,
    as_json: bool,
    version: int | None = None,
) -> None:
    work = talk(settings, lambda client: _work(client, id))
    task = work.task
    is_possible = task.state in possible_from and version in (None, task.version)
    remark = f"would be {word}" if is_possible else f"could not be {word}"
    _show(work, as_json=as_json, remark=remark, more={"is_possible": is_possible})
    if not is_possible:
        raise CommandError(
            f"task {id!r} is {task.state} at version {task.version}", ExitCode.OTHER_STATE
        )


def _show(
    work: Work, *, as_json: bool, remark: str = "", more: Mapping[str, bool] | None = None
) -> None:
    document = {**task_document(work), **(more or {})}
    Output(as_json=as_json).show(document, task_lines(work, now_ms(), remark))
