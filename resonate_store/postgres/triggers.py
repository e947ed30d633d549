"""Triggers as rows of PostgreSQL. They are few, and no transaction of a batch needs them."""

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import TriggerRecord
from resonate_store.postgres.connection import Pool
from resonate_store.queries import load_queries

_QUERIES = load_queries("resonate_store.postgres", "triggers.sql")


class PostgresTriggers:
    """The triggers of a namespace."""

    def __init__(self, readers: Pool, writers: Pool) -> None:
        """Use the sessions of a store."""
        self._readers = readers
        self._writers = writers

    async def insert(self, trigger: TriggerRecord) -> bool:
        """Store a trigger; False if there is one with its id, or there are too many.

        Raises:
            UnavailableError: there is no connection.
        """
        async with self._writers.connection() as connection:
            return bool(
                await connection.fetch(
                    _QUERIES["insert"],
                    trigger.id,
                    trigger.exchange,
                    trigger.routing_key,
                    trigger.promise_id,
                    trigger.func,
                    trigger.target,
                    trigger.key,
                    trigger.priority,
                    trigger.timeout_ms,
                    limits.TRIGGERS_MAX,
                )
            )

    async def all(self) -> tuple[TriggerRecord, ...]:
        """Read all triggers, by ascending id.

        Raises:
            UnavailableError: there is no connection.
        """
        async with self._readers.connection() as connection:
            rows = await connection.fetch(_QUERIES["all"])
        return tuple(
            TriggerRecord(
                id=id,
                exchange=exchange,
                routing_key=routing_key,
                promise_id=promise_id,
                func=func,
                target=target,
                key=key,
                priority=priority,
                timeout_ms=timeout_ms,
                created_at_ms=created_at_ms,
                is_ending=is_ending,
            )
            for (
                id, exchange, routing_key, promise_id, func, target, key, priority, timeout_ms,
                created_at_ms, is_ending,
            ) in rows
        )  # fmt: skip

    async def end(self, id: str) -> bool:
        """Mark a trigger as one that takes no more events; False if there is none.

        Raises:
            UnavailableError: there is no connection.
        """
        async with self._writers.connection() as connection:
            return bool(await connection.fetch(_QUERIES["end"], id))

    async def remove(self, id: str) -> None:
        """Remove a trigger that was marked so.

        Raises:
            UnavailableError: there is no connection.
        """
        async with self._writers.connection() as connection:
            await connection.fetch(_QUERIES["remove"], id)
