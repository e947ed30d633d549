"""Limits of worker groups as rows of PostgreSQL, and their part in the transactions of batches.

Their locks are taken after those of the inbox, for which nobody waits, and before all others.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from resonate_sdk.protocol.records import Rate
from resonate_store.postgres.connection import Connection
from resonate_store.postgres.rows import decode_map, to_json
from resonate_store.queries import load_queries
from resonate_store.state import Changes, Group

_QUERIES = load_queries("resonate_store.postgres", "groups.sql")
_decode_starts = msgspec.json.Decoder(dict[str, int]).decode


async def load(connection: Connection, names: Sequence[str]) -> tuple[Group, ...]:
    """Lock the groups that have limits, then read them."""
    if not names:
        return ()
    locked = [name for (name,) in await connection.fetch(_QUERIES["lock"], names)]
    return await read(connection, locked) if locked else ()


async def read(connection: Connection, names: Sequence[str]) -> tuple[Group, ...]:
    """Read some groups, and what they hold."""
    return tuple(map(_to_group, await connection.fetch(_QUERIES["read"], names)))


async def read_all(connection: Connection) -> tuple[Group, ...]:
    """Read all groups that have limits, without what they hold."""
    return tuple(map(_to_group, await connection.fetch(_QUERIES["all"])))


async def adopt(connection: Connection, name: str) -> None:
    """Let a group hold what it has had before it had limits."""
    await connection.fetch(_QUERIES["adopt"], name)


async def store(connection: Connection, changes: Changes) -> None:
    """Write what was decided about limits."""
    if changes.groups_deleted:
        await connection.fetch(_QUERIES["delete"], changes.groups_deleted)
    if changes.groups_put:
        await connection.fetch(
            _QUERIES["put"], *zip(*map(_to_row, changes.groups_put), strict=True)
        )


def _to_group(row: Iterable[Any]) -> Group:
    (
        name, concurrency, key_concurrency, rate_count, rate_per, key_rate_count, key_rate_per,
        starts, held,
    ) = row  # fmt: skip
    return Group(
        name=name,
        concurrency=concurrency,
        key_concurrency=key_concurrency,
        rate=_rate(rate_count, rate_per),
        key_rate=_rate(key_rate_count, key_rate_per),
        held={} if held is None else decode_map(held),
        starts=_decode_starts(starts),
    )


def _rate(count: int | None, per_ms: int | None) -> Rate | None:
    return None if count is None or per_ms is None else Rate(count=count, per_ms=per_ms)


def _to_row(group: Group) -> tuple[str | int | None, ...]:
    rates = (group.rate, group.key_rate)
    return (
        group.name,
        group.concurrency,
        group.key_concurrency,
        *(cell for r in rates for cell in ((None, None) if r is None else (r.count, r.per_ms))),
        msgspec.json.encode(group.starts).decode(),
        to_json(group.held),
    )
