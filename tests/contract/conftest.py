"""The stores that keep the contract."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from itertools import chain, count, repeat

import pytest

from resonate_store.memory import MemoryStore
from resonate_store.postgres import PostgresStore
from resonate_store.postgres.migrate import migrate
from resonate_store.sqlite import SqliteStore
from resonate_store.store import Store
from tests.contract.rows import BORN_AT_MS
from tests.databases import new_database

Opener = Callable[[], Awaitable[Store]]
"""Opens a store on the data of this test; each call is another server, if the store has several."""


@pytest.fixture(scope="module")
def module_database(postgres_server) -> Generator[str]:
    """One for all tests of a module: each has tables of its own in it."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def opener(kind, request, tmp_path) -> Opener:
    if kind == "postgres":
        return _postgres_opener(
            request.getfixturevalue("module_database"), request.getfixturevalue("namespace")
        )
    # Memory and a file have one owner: all servers are the same one.
    now_ms = count(BORN_AT_MS).__next__
    if kind == "memory":
        return _one_owner(MemoryStore(now_ms))
    return _one_owner(SqliteStore(tmp_path / "resonate.db", now_ms))


def _postgres_opener(url: str, namespace: str) -> Opener:
    async def open_store() -> Store:
        return PostgresStore(url, namespace)

    async def migrate_and_open() -> Store:
        await migrate(url, namespace)
        return await open_store()

    openers = chain([migrate_and_open], repeat(open_store))
    return lambda: next(openers)()


def _one_owner(store: Store) -> Opener:
    async def open_store() -> Store:
        return store

    return open_store


@pytest.fixture
async def store(opener) -> AsyncGenerator[Store]:
    store = await opener()
    yield store
    await store.close()


@pytest.fixture
async def other(store, opener) -> AsyncGenerator[Store]:
    """Another server; with one owner, the same one in another transaction."""
    store = await opener()
    yield store
    await store.close()
