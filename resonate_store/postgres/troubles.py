"""What holders of tasks have told, as rows of PostgreSQL.

They are read and written under the locks of their promises, so nobody waits for one.
"""

from collections.abc import Sequence

import msgspec

from resonate_sdk.protocol.records import Trouble
from resonate_store.postgres.connection import Connection
from resonate_store.queries import load_queries
from resonate_store.state import TaskTrouble

_QUERIES = load_queries("resonate_store.postgres", "troubles.sql")
_decode = msgspec.json.Decoder(Trouble).decode


async def load(connection: Connection, tasks: Sequence[str]) -> tuple[TaskTrouble, ...]:
    """Read what was told of some tasks."""
    if not tasks:
        return ()
    return tuple(
        TaskTrouble(task=task, origin=origin, version=version, trouble=_decode(record))
        for task, origin, version, record in await connection.fetch(_QUERIES["load"], tasks)
    )


async def store(connection: Connection, rows: Sequence[TaskTrouble]) -> None:
    """Write what was told, in the place of what was told before."""
    if not rows:
        return
    columns = [
        (row.task, row.origin, row.version, msgspec.json.encode(row.trouble).decode())
        for row in rows
    ]
    await connection.fetch(_QUERIES["put"], *zip(*columns, strict=True))


async def forget_origin(connection: Connection, origin: str) -> None:
    """The tree has been removed."""
    await connection.fetch(_QUERIES["forget_origin"], origin)
