"""Calls that applications have left in transactions of their own: from their rows to batches.

Rows are locked before all others, and only if they are free: nobody ever waits for one, so that a
batch may hold them while it waits for promises.
"""

from collections.abc import Sequence

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import Value
from resonate_store.postgres.connection import Connection
from resonate_store.postgres.rows import decode_map
from resonate_store.queries import load_queries
from resonate_store.state import Changes, InboxEntry, InboxRow

_QUERIES = load_queries("resonate_store.postgres", "inbox.sql")


async def waiting(connection: Connection, count_max: int) -> tuple[InboxEntry, ...]:
    """Name calls that wait, no more of them than one message may bring."""
    rows = await connection.fetch(_QUERIES["waiting"], count_max, limits.MESSAGE_BYTES_MAX)
    return tuple(InboxEntry(number=number, id=id) for number, id in rows)


async def load(connection: Connection, numbers: Sequence[int]) -> tuple[InboxRow, ...]:
    """Lock and read those calls that nobody else has."""
    if not numbers:
        return ()
    return tuple(
        InboxRow(
            number=number,
            id=id,
            timeout_at_ms=timeout_at,
            tags=decode_map(tags),
            param=Value(data=param_data),
        )
        for number, id, timeout_at, tags, param_data in await connection.fetch(
            _QUERIES["load"], numbers
        )
    )


async def store(connection: Connection, changes: Changes) -> None:
    """Remove what was taken, and mark what was refused."""
    if changes.inbox_taken:
        await connection.fetch(_QUERIES["delete"], changes.inbox_taken)
    if changes.inbox_refused:
        refused = [(refusal.number, refusal.reason) for refusal in changes.inbox_refused]
        await connection.fetch(_QUERIES["refuse"], *zip(*refused, strict=True))
