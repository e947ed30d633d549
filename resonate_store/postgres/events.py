"""Events as rows of PostgreSQL: an outbox that one server at a time empties."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from resonate_store.postgres.connection import Connection, Pool
from resonate_store.queries import load_queries
from resonate_store.state import Event, NumberedEvent

_QUERIES = load_queries("resonate_store.postgres", "events.sql")


async def store(connection: Connection, events: Sequence[Event]) -> None:
    """Number events, and write them in the transaction of what they tell of."""
    columns = zip(
        *((e.origin, e.kind, e.subject, e.group, e.at_ms, e.data) for e in events), strict=True
    )
    await connection.fetch(_QUERIES["store"], *columns)


class PostgresEvents:
    """The events of a namespace that nobody has been told yet."""

    def __init__(self, writers: Pool) -> None:
        """Use the sessions of a store."""
        self._writers = writers

    @asynccontextmanager
    async def claim(self, limit: int) -> AsyncGenerator["Claim"]:
        """Be the one who publishes, and read the oldest events; none if somebody else is.

        It ends with the block. Who is frozen in it for 3 s loses it: what was told is told again.

        Raises:
            UnavailableError: there is no connection.
        """
        async with self._writers.connection() as connection:
            await connection.execute("begin")
            try:
                is_ours = bool(await connection.fetch(_QUERIES["claim"]))
                rows = await connection.fetch(_QUERIES["read"], limit) if is_ours else ()
                yield Claim(connection, [_event(*row) for row in rows])
                await connection.execute("commit")
            except BaseException:
                await connection.roll_back()
                raise


class Claim:
    """The right to publish, for a moment.

    Attributes:
        events: in the order in which those of each origin happened.
    """

    def __init__(self, connection: Connection, events: Sequence[NumberedEvent]) -> None:
        """Hold the lock that is held in an open transaction."""
        self._connection = connection
        self.events = events

    async def forget(self, positions: Sequence[int]) -> None:
        """These events have been told; durable when the claim ends."""
        await self._connection.fetch(_QUERIES["forget"], positions)


def _event(
    position: int,
    origin: str,
    sequence: int,
    kind: str,
    subject: str,
    group: str,
    at_ms: int,
    data: str,
) -> NumberedEvent:
    event = Event(origin=origin, kind=kind, subject=subject, group=group, at_ms=at_ms, data=data)
    return NumberedEvent(position=position, sequence=sequence, event=event)
