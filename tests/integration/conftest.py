"""Tables in a PostgreSQL database, and the servers that share them."""

import asyncio
from collections.abc import AsyncGenerator, Generator

import asyncpg
import pytest
from msgspec import Struct

from resonate_store.postgres import PostgresStore, settings
from resonate_store.postgres.migrate import migrate
from tests.databases import new_database

BLOCKED_SECONDS_MAX = 5
IDLE_SECONDS_MAX = 5  # for a busy machine; the store is done with it in a hundredth of that


class Tables(Struct, frozen=True):
    """Where the tables of a test are."""

    url: str
    namespace: str


class Observer:
    """Looks at the tables, and at who waits, from a session of its own."""

    def __init__(self, connection: asyncpg.Connection, namespace: str) -> None:
        self.fetch = connection.fetch
        self.fetchval = connection.fetchval
        self.execute = connection.execute
        self._batches = settings.data_path(namespace)["application_name"]

    async def until_blocked(self, count: int = 1) -> None:
        """Return when that many servers wait for a lock."""
        query = (
            "select count(*) from pg_stat_activity "
            "where application_name = $1 and wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(BLOCKED_SECONDS_MAX):
            while await self.fetchval(query, self._batches) < count:
                pass  # asking is all the waiting there is

    async def state(self) -> str:
        """What the only server that runs batches is doing, in the words of PostgreSQL."""
        query = "select state from pg_stat_activity where application_name = $1"
        ((state,),) = await self.fetch(query, self._batches)
        return state

    async def until_idle(self) -> None:
        """Return when the only server that runs batches has no transaction open."""
        async with asyncio.timeout(IDLE_SECONDS_MAX):
            while await self.state() != "idle":
                pass

    async def until_gone(self) -> None:
        """Return when no server has a session for batches."""
        query = "select count(*) from pg_stat_activity where application_name = $1"
        async with asyncio.timeout(IDLE_SECONDS_MAX):
            while await self.fetchval(query, self._batches):
                pass

    async def end_sessions(self) -> None:
        """Break the connections of all servers that run batches."""
        await self.fetch(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where application_name = $1",
            self._batches,
        )


@pytest.fixture(scope="module")
def module_database(postgres_server) -> Generator[str]:
    """One for all tests of a module: each has tables of its own in it."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture
async def tables(module_database, namespace) -> Tables:
    await migrate(module_database, namespace)
    return Tables(module_database, namespace)


@pytest.fixture
async def store(tables) -> AsyncGenerator[PostgresStore]:
    store = PostgresStore(tables.url, tables.namespace)
    yield store
    await store.close()


@pytest.fixture
async def other(tables) -> AsyncGenerator[PostgresStore]:
    """Another server."""
    store = PostgresStore(tables.url, tables.namespace)
    yield store
    await store.close()


@pytest.fixture
async def observer(tables) -> AsyncGenerator[Observer]:
    search_path = {"search_path": settings.quoted(tables.namespace)}
    connection = await asyncpg.connect(tables.url, server_settings=search_path)
    yield Observer(connection, tables.namespace)
    await connection.close()
