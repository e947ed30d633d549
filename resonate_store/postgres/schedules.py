"""Schedules as rows of PostgreSQL, and their part in the transactions of batches.

They are few and change seldom, so they have statements of their own beside those of promises. Their
locks are taken before all others, in the order of their ids.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from resonate_sdk.protocol.records import EMPTY, Value
from resonate_store.postgres.connection import Connection
from resonate_store.postgres.rows import decode_map, to_json
from resonate_store.queries import load_queries
from resonate_store.state import Changes, Schedule
from resonate_store.store import ConflictError

_QUERIES = load_queries("resonate_store.postgres", "schedules.sql")


async def load(connection: Connection, ids: Sequence[str]) -> tuple[Schedule, ...]:
    """Lock schedules, then read them; what was not there to be locked does not exist."""
    if not ids:
        return ()
    locked = [id for (id,) in await connection.fetch(_QUERIES["lock"], ids)]
    return tuple(to_schedule(row) for row in await connection.fetch(_QUERIES["read"], locked))


async def store(connection: Connection, changes: Changes) -> None:
    """Write what was decided about schedules.

    Raises:
        ConflictError: one to create exists.
    """
    if changes.schedules_deleted:
        await connection.fetch(_QUERIES["delete"], changes.schedules_deleted)
    if changes.schedules_created:
        created = changes.schedules_created
        columns = zip(*map(_to_row, created), strict=True)
        written = await connection.fetch(_QUERIES["insert"], *columns)
        if len(written) < len(created):
            raise ConflictError("a schedule to create exists")
    if changes.schedules_updated:
        updated = [(s.id, s.next_run_at_ms, s.last_run_at_ms) for s in changes.schedules_updated]
        await connection.fetch(_QUERIES["update"], *zip(*updated, strict=True))


def to_schedule(row: Iterable[Any]) -> Schedule:
    """Make a schedule of its columns."""
    (
        id, cron, timezone, overlap, missed, promise_id, promise_timeout, param_headers, param_data,
        promise_tags, created_at, next_run_at, last_run_at,
    ) = row  # fmt: skip
    param = EMPTY
    if param_headers is not None or param_data is not None:
        headers = None if param_headers is None else decode_map(param_headers)
        param = Value(headers=headers, data=param_data)
    return Schedule(
        id=id,
        cron=cron,
        timezone=timezone,
        overlap=overlap,
        missed=missed,
        promise_id=promise_id,
        promise_timeout_ms=promise_timeout,
        promise_param=param,
        promise_tags=decode_map(promise_tags),
        created_at_ms=created_at,
        next_run_at_ms=next_run_at,
        last_run_at_ms=last_run_at,
    )


def _to_row(schedule: Schedule) -> tuple[str | int | None, ...]:
    return (
        schedule.id,
        schedule.cron,
        schedule.timezone,
        schedule.overlap,
        schedule.missed,
        schedule.promise_id,
        schedule.promise_timeout_ms,
        to_json(schedule.promise_param.headers),
        schedule.promise_param.data,
        to_json(schedule.promise_tags),
        schedule.created_at_ms,
        schedule.next_run_at_ms,
        schedule.last_run_at_ms,
    )
