"""Dry runs: what a command would do, found out by reading alone.

What happens later is decided by the server then; a dry run says what it would be now.
"""

from typing import TypeVar

from rich.text import Text

from resonate_broker.cli.client import Client, talk
from resonate_broker.cli.output import Output, plain
from resonate_broker.config import Config
from resonate_sdk.ask import refusal
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import PromiseGet, Request
from resonate_sdk.protocol.responses import PromiseData

T = TypeVar("T")


async def find(client: Client, data: type[T], request: Request) -> T | None:
    """Read something; None if it does not exist.

    Raises:
        StoreError: it was refused.
        TransportError: no answer came in time.
    """
    answer = await client.ask(request)
    if answer.status == responses.NOT_FOUND:
        return None
    if not isinstance(answer.data, data):
        raise refusal(answer)
    return answer.data


def foretell(id: str, would_be: str, *, as_json: bool) -> None:
    """Say what would become of something.

    Args:
        id: of it.
        would_be: in the form `created`; empty if it would stay as it is.
        as_json: whether a program reads it.
    """
    line = f"{id} would be {would_be}" if would_be else f"{id} would stay as it is"
    document = {"id": id, "dry_run": True, "would_be": would_be or None}
    Output(as_json=as_json).show(document, [Text(plain(line))])


def foretell_creation(settings: Config, id: str, *, as_json: bool) -> None:
    """Say whether a promise would be created.

    Raises:
        CommandError: nobody could be asked.
    """
    found = talk(settings, lambda client: find(client, PromiseData, PromiseGet(id=id)))
    foretell(id, "" if found else "created", as_json=as_json)
