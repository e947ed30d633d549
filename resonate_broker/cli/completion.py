"""What a shell may complete: ids of promises, asked of the server. Whatever goes wrong, nothing."""

from resonate_broker.cli.client import Client, talk
from resonate_broker.cli.exits import failure_of
from resonate_broker.cli.settings import client_settings
from resonate_sdk.protocol.requests import PromiseSearch
from resonate_sdk.protocol.responses import PromisePage

PATIENCE_S = 2.0  # who presses TAB does not wait longer
OFFERED_MAX = 50


def complete_id(incomplete: str) -> list[str]:
    """Ids that begin like this; servers are those of the environment and of `resonate.toml`."""

    async def found(client: Client) -> list[str]:
        # Ids come in order: those with this beginning follow it.
        answer = await client.ask(PromiseSearch(cursor=incomplete or None, limit=OFFERED_MAX))
        if not isinstance(answer.data, PromisePage):
            return []
        ids = [record.id for record in answer.data.promises]
        return [id for id in ids if id.startswith(incomplete)]

    try:
        return talk(client_settings(None, None, None), found, patience_s=PATIENCE_S)
    except Exception as error:
        if failure_of(error) is None and not isinstance(error, ValueError):
            raise
        return []
