"""`resonate workers`: who runs the tasks of which group."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct
from rich.text import Text

from resonate_broker.cli.arguments import offered_groups
from resonate_broker.cli.broker import Attendance, count_queues, try_attendance
from resonate_broker.cli.client import Client, NobodyAnswersError, talk
from resonate_broker.cli.durations import format_duration
from resonate_broker.cli.management import ManagementError
from resonate_broker.cli.output import Output
from resonate_broker.cli.settings import (
    AsJson,
    ConfigFile,
    ManagementUrl,
    Namespace,
    Url,
    operator_settings,
)
from resonate_broker.cli.staff import Group, Load, Worker, groups_of, summary_of, workers_of
from resonate_broker.cli.tables import table_lines
from resonate_broker.cli.watching import View, Watch, show
from resonate_broker.config import Config
from resonate_sdk.clock import now_ms
from resonate_sdk.protocol.requests import GroupWorkers
from resonate_sdk.protocol.responses import WorkerPage
from resonate_sdk.protocol.topology import Names

GROUP_HEADS = ("GROUP", "WORKERS", "RUNNING", "PENDING")
WORKER_HEADS = ("WORKER", "GROUP", "RUNNING", "SLOTS", "CONNECTED", "FROM", "SEEN", "STATE")
TASKS_MAX = 10_000  # of each state; more are not counted

EXAMPLES = "Example: resonate workers --group billing"

GroupsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        metavar="GROUP",
        help="Only this one; may be repeated.",
        autocompletion=offered_groups,
        show_default=False,
    ),
]


class Staff(Struct, frozen=True, kw_only=True):
    """All that is shown.

    Attributes:
        unseen: what could not be seen, and why, in sentences.
    """

    groups: tuple[Group, ...]
    workers: tuple[Worker, ...]
    unseen: tuple[str, ...]


def workers(
    only: GroupsOption = None,
    is_watched: Watch = False,
    url: Url = None,
    management_url: ManagementUrl = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show who runs the tasks of which group, and what waits to be run.

    Workers say hello every 30 s: SEEN is how long ago that was, as the server knows it. Who
    consumes is told by RabbitMQ's management API, a few seconds late.
    """
    settings = operator_settings(config, url, management_url, namespace)
    output = Output(as_json=as_json)
    groups = frozenset(only or ())
    show(output, lambda: _view(settings, groups), is_watched=is_watched)


def _view(settings: Config, only: frozenset[str]) -> View:
    staff = look(settings, only)
    return View(
        document=staff_document(staff),
        lines=tuple(staff_lines(staff, now_ms())),
        notes=staff.unseen,
    )


def look(settings: Config, only: frozenset[str]) -> Staff:
    """Ask the broker and the server.

    Raises:
        CommandError: RabbitMQ cannot be reached.
    """
    names = Names(settings.namespace)
    seen, unseen = try_attendance(settings), list[str]()
    if isinstance(seen, ManagementError):
        unseen.append(f"Not seen: connections, and what is consumed through them: {seen}")
    attended = seen if isinstance(seen, Attendance) else None
    load = None
    try:
        load = talk(settings, _load)
    except NobodyAnswersError as error:
        unseen.append(f"Not seen: what runs and what is pending: {error}")
    if load is not None and not load.is_whole:
        unseen.append(f"Not counted: more than {TASKS_MAX} tasks of a state")
    groups = [g for g in {*groups_of(names, attended, load), *only} if not only or g in only]
    counts = count_queues(settings, [names.task_queue(group) for group in sorted(groups)])
    staff = [w for w in workers_of(names, attended, load) if not only or w.group in only]
    return Staff(
        groups=tuple(summary_of(names, group, staff, load, counts) for group in sorted(groups)),
        workers=tuple(staff),
        unseen=tuple(unseen),
    )


async def _load(client: Client) -> Load:
    acquired, has_all_acquired = await client.tasks("acquired", TASKS_MAX)
    pending, has_all_pending = await client.tasks("pending", TASKS_MAX)
    page = await client.ask_for(WorkerPage, GroupWorkers())
    is_whole = has_all_acquired and has_all_pending
    return Load(tuple(acquired), tuple(pending), page.workers, is_whole)


def staff_document(staff: Staff) -> dict[str, Any]:
    """Workers and groups for programs."""
    return {
        "groups": [
            {
                "name": group.name,
                "workers": group.workers,
                "running": group.running,
                "pending": group.pending,
                "hints": group.hints,
            }
            for group in staff.groups
        ],
        "workers": [_worker_document(worker) for worker in staff.workers],
        "unseen": staff.unseen,
    }


def staff_lines(staff: Staff, now_ms: int) -> Iterator[Text]:
    """Workers and groups for people."""
    if not staff.groups:
        yield Text("no group has workers or work")
    yield from table_lines(GROUP_HEADS, [_group_row(group) for group in staff.groups])
    if staff.workers:
        yield Text()
    yield from table_lines(WORKER_HEADS, [_worker_row(w, now_ms) for w in staff.workers])


def _group_row(group: Group) -> Sequence[Text | str]:
    workers = Text(_number(group.workers), style="bold red" if group.is_stuck else "")
    return group.name, workers, _number(group.running), _number(group.pending)


def _worker_row(worker: Worker, now_ms: int) -> Sequence[Text | str]:
    connection = worker.connection
    since = None if connection is None else connection.connected_at
    state: Text | str = "" if connection is None else connection.state
    if worker.is_connected is False:
        state = Text("not connected", style="red")
    return (
        worker.pid,
        worker.group,
        _number(worker.running),
        "" if worker.told is None else _number(worker.told.slots),
        "" if since is None else format_duration(now_ms - since),
        "" if connection is None else connection.peer_host or "",
        "" if worker.told is None else f"{format_duration(now_ms - worker.told.seen_at_ms)} ago",
        state,
    )


def _worker_document(worker: Worker) -> dict[str, Any]:
    connection = worker.connection
    return {
        "pid": worker.pid,
        "group": worker.group,
        "running": worker.running,
        "is_connected": worker.is_connected,
        "queues": worker.queues,
        "told": None if worker.told is None else msgspec.structs.asdict(worker.told),
        "connection": None
        if connection is None
        else {
            "name": connection.name,
            "title": connection.title,
            "user": connection.user,
            "from": connection.peer_host,
            "connected_at_ms": connection.connected_at,
            "state": connection.state,
        },
    }


def _number(count: int | None) -> str:
    return "?" if count is None else str(count)
