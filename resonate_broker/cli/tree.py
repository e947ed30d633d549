"""`resonate tree`: what an execution has done, does and waits for."""

import asyncio
from collections.abc import Iterable

from resonate_broker.cli.arguments import PromiseId
from resonate_broker.cli.client import Client, talk
from resonate_broker.cli.output import Output, has_symbols
from resonate_broker.cli.settings import AsJson, ConfigFile, Namespace, Url, client_settings
from resonate_broker.cli.tree_view import Node, build_tree, tree_document, tree_lines
from resonate_broker.cli.watching import View, Watch, show
from resonate_broker.config import Config
from resonate_sdk.clock import now_ms
from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import PromiseRecord, TaskRecord
from resonate_sdk.protocol.requests import PromiseGet, TaskGet
from resonate_sdk.protocol.responses import TaskData

TASKS_MAX = 500  # of pending calls, whose tasks say what they wait for

EXAMPLES = "Example: resonate tree order-17"


def tree(
    id: PromiseId,
    is_watched: Watch = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show an execution as a tree: the calls it made, how long they took, what it waits for.

    Yellow is pending, green resolved, red rejected, canceled or timed out. With --watch it is shown
    until it is settled, as JSON one line for each change.
    """
    settings = client_settings(config, url, namespace)
    output = Output(as_json=as_json)
    show(output, lambda: _view(settings, id), is_watched=is_watched)


def _view(settings: Config, id: str) -> View:
    root, is_whole = talk(settings, lambda client: fetch_tree(client, id))
    note = "There are more promises: resonate tree of one of these shows what is below."
    return View(
        document={**tree_document(root, now_ms()), "is_whole": is_whole},
        lines=tuple(tree_lines(root, now_ms(), symbols=has_symbols())),
        notes=() if is_whole else (note,),
        is_final=not root.is_pending,
        essence=tree_document(root, 0),  # durations grow without anything happening
    )


async def fetch_tree(client: Client, id: str) -> tuple[Node, bool]:
    """Read a promise and what is below it; the bool tells whether that is all.

    Raises:
        StoreError: there is none, or it was refused.
        TransportError: no answer came in time.
    """
    root = await client.promise(PromiseGet(id=id))
    origin = root.tags.get(tag.ORIGIN, root.id)
    records, is_whole = await client.search({tag.ORIGIN: origin}, origin=origin)
    tasks = await _tasks(client, (root, *records), origin)
    return build_tree(root, records, tasks), is_whole


async def _tasks(
    client: Client, records: Iterable[PromiseRecord], origin: str
) -> dict[str, TaskRecord]:
    """The tasks of calls that are pending: they say who works on them, or that nobody does."""
    pending = {r.id for r in records if r.state == "pending" and tag.TARGET in r.tags}
    async with asyncio.TaskGroup() as group:
        asking = [
            group.create_task(client.ask(TaskGet(id=id, details=True), origin=origin))
            for id in sorted(pending)[:TASKS_MAX]
        ]
    answers = [asked.result() for asked in asking]
    return {a.data.task.id: a.data.task for a in answers if isinstance(a.data, TaskData)}
