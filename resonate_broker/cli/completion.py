"""What a shell may complete: names of what there is, asked of the server. If it fails, nothing."""

from collections.abc import Awaitable, Callable, Iterable

from resonate_broker.cli.client import Client, talk
from resonate_broker.cli.exits import failure_of
from resonate_broker.cli.settings import client_settings
from resonate_sdk.protocol.requests import (
    GroupList,
    GroupWorkers,
    PromiseSearch,
    ScheduleSearch,
    TriggerSearch,
)
from resonate_sdk.protocol.responses import (
    GroupPage,
    PromisePage,
    SchedulePage,
    TriggerPage,
    WorkerPage,
)

PATIENCE_S = 2.0  # who presses TAB does not wait longer
OFFERED_MAX = 50


def complete_id(incomplete: str) -> list[str]:
    """Ids of promises."""

    async def found(client: Client) -> list[str]:
        # Ids come in order: those with this beginning follow it.
        asked = PromiseSearch(cursor=incomplete or None, limit=OFFERED_MAX)
        page = await client.ask_for(PromisePage, asked)
        return [record.id for record in page.promises]

    return _offered(incomplete, found)


def complete_schedule(incomplete: str) -> list[str]:
    """Ids of schedules."""

    async def found(client: Client) -> list[str]:
        asked = ScheduleSearch(cursor=incomplete or None, limit=OFFERED_MAX)
        page = await client.ask_for(SchedulePage, asked)
        return [record.id for record in page.schedules]

    return _offered(incomplete, found)


def complete_trigger(incomplete: str) -> list[str]:
    """Ids of triggers."""

    async def found(client: Client) -> list[str]:
        page = await client.ask_for(TriggerPage, TriggerSearch())
        return [record.id for record in page.triggers]

    return _offered(incomplete, found)


def complete_group(incomplete: str) -> list[str]:
    """Groups that have limits, or workers."""

    async def found(client: Client) -> list[str]:
        limited = await client.ask_for(GroupPage, GroupList())
        served = await client.ask_for(WorkerPage, GroupWorkers())
        names = {record.name for record in limited.groups}
        return sorted(names | {worker.group for worker in served.workers})

    return _offered(incomplete, found)


def _offered(incomplete: str, found: Callable[[Client], Awaitable[Iterable[str]]]) -> list[str]:
    """Those that begin like this; servers are those of the environment and of `resonate.toml`."""
    try:
        names = talk(client_settings(None, None, None), found, patience_s=PATIENCE_S)
    except Exception as error:
        if failure_of(error) is None and not isinstance(error, ValueError):
            raise
        return []
    return [name for name in names if name.startswith(incomplete)][:OFFERED_MAX]
