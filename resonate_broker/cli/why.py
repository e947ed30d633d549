"""`resonate why`: what keeps a promise from being settled, in one paragraph."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from rich.text import Text

from resonate_broker.cli.arguments import PromiseId
from resonate_broker.cli.broker import Attendance, count_queues, try_attendance
from resonate_broker.cli.causes import (
    EXPLAINED_MAX,
    Surroundings,
    blockers,
    explain,
    queue_called,
    reason_document,
)
from resonate_broker.cli.client import Client, talk
from resonate_broker.cli.management import ManagementError
from resonate_broker.cli.output import Output, plain
from resonate_broker.cli.settings import (
    AsJson,
    ConfigFile,
    ManagementUrl,
    Namespace,
    Url,
    operator_settings,
)
from resonate_broker.cli.staff import workers_of
from resonate_broker.cli.tree import fetch_tree
from resonate_broker.cli.tree_view import Node
from resonate_broker.cli.watching import View, Watch, watch
from resonate_broker.config import Config
from resonate_sdk.clock import now_ms
from resonate_sdk.errors import NotFoundError
from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import GroupRecord
from resonate_sdk.protocol.requests import GroupGet
from resonate_sdk.protocol.responses import GroupData
from resonate_sdk.protocol.topology import Names

BUSY_MAX = 1_000  # held tasks that are counted

EXAMPLES = "Example: resonate why order-17"


class Told(Struct, frozen=True):
    """What the server told."""

    root: Node
    runner: Node | None
    busy: Mapping[str, int]
    limits: Mapping[str, GroupRecord]


def why(
    id: PromiseId,
    is_watched: Watch = False,
    url: Url = None,
    management_url: ManagementUrl = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say in one paragraph why a promise is not settled.

    It follows what the promise waits for down to what waits for nobody else, and looks there at
    tasks, leases, queues and workers. With --watch it goes on until the promise is settled.
    """
    settings = operator_settings(config, url, management_url, namespace)
    output = Output(as_json=as_json)
    if is_watched:
        watch(output, lambda: _view(settings, id))
        return
    view = _view(settings, id)
    output.show_paragraph(view.document, view.lines[0].plain)
    for sentence in view.notes:
        output.note(Text(sentence, style="yellow"))


def _view(settings: Config, id: str) -> View:
    told = talk(settings, lambda client: _ask(client, id))
    names, unseen = Names(settings.namespace), list[str]()
    ends = blockers(told.root, told.runner)
    pending = [end for end in ends if end.task is not None and end.task.state == "pending"]
    groups = _groups(pending)
    called = {queue for queue in map(queue_called, pending) if queue is not None}
    depths = count_queues(settings, [*map(names.task_queue, groups), *sorted(called)])
    connected = None
    if any(end.task is not None and end.task.state in ("pending", "acquired") for end in ends):
        seen = try_attendance(settings)
        if isinstance(seen, ManagementError):
            unseen.append(f"Not seen: which processes are connected: {seen}")
        else:
            connected = _connected(names, seen)
    around = Surroundings(
        depths={group: depths[names.task_queue(group)] for group in groups},
        called={queue: depths[queue] for queue in called},
        busy=told.busy,
        limits=told.limits,
        connected=connected,
        runner=told.runner,
    )
    sentences, reasons = explain(told.root, around, now_ms())
    state = told.root.record.state
    document = {
        "id": id,
        "state": state,
        "text": " ".join(sentences),
        "reasons": [reason_document(reason) for reason in reasons],
        "unseen": unseen,
    }
    return View(
        document=document,
        lines=(Text(plain(" ".join(sentences))),),
        notes=tuple(unseen),
        is_final=not told.root.is_pending,
        # Sentences tell how long something has lasted.
        essence={"state": state, "reasons": [(each.id, each.cause) for each in reasons]},
    )


async def _ask(client: Client, id: str) -> Told:
    root, _ = await fetch_tree(client, id)
    runner = None
    branch = root.record.tags.get(tag.BRANCH, id)
    if root.is_pending and root.task is None and branch != id:
        try:
            runner, _ = await fetch_tree(client, branch)
        except NotFoundError:
            runner = None
    busy = Counter[str]()
    ends = blockers(root, runner)
    if _groups(ends):
        held, _ = await client.tasks("acquired", BUSY_MAX)
        busy.update(task.details.group for task in held if task.details is not None)
    return Told(root, runner, busy, await _limits(client, ends))


async def _limits(client: Client, ends: Sequence[Node]) -> Mapping[str, GroupRecord]:
    """The limits of groups in which the promises that are explained wait for their turn."""
    found: dict[str, GroupRecord] = {}
    for end in ends[:EXPLAINED_MAX]:
        details = None if end.task is None else end.task.details
        if details is not None and details.group and details.queued_at_ms is not None:
            request = GroupGet(name=details.group, key=end.record.tags.get(tag.KEY))
            found[end.record.id] = (await client.ask_for(GroupData, request)).group
    return found


def _groups(ends: Iterable[Node]) -> list[str]:
    details = [end.task.details for end in ends if end.task is not None]
    return sorted({each.group for each in details if each is not None and each.group})


def _connected(names: Names, seen: Attendance) -> Mapping[str, frozenset[str]]:
    workers = workers_of(names, seen, None)
    return {
        group: frozenset(worker.pid for worker in workers if worker.group == group)
        for group in {worker.group for worker in workers}
    }
