"""Stores for simulations: those of local mode, and PostgreSQL."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg

from resonate_store.memory import MemoryStore
from resonate_store.postgres import PostgresStore, settings
from resonate_store.sqlite import SqliteStore
from tests.simulation.simulation import OpenStores, Stores

T = TypeVar("T")


def _complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of a store that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a store of local mode does not wait")


@contextmanager
def sqlite(count: int, now_ms: Callable[[], int]) -> Generator[Stores]:
    """One store that all servers share: it is the only owner of its data."""
    store = SqliteStore(":memory:", now_ms)
    try:
        yield Stores([store] * count, _complete)
    finally:
        _complete(store.close())


@contextmanager
def memory(count: int, now_ms: Callable[[], int]) -> Generator[Stores]:
    """One store that all servers share."""
    yield Stores([MemoryStore(now_ms)] * count, _complete)


def postgres(url: str, namespace: str) -> OpenStores:
    """A store for each server, on one database that has been migrated."""

    @contextmanager
    def open_stores(count: int, now_ms: Callable[[], int]) -> Generator[Stores]:
        with asyncio.Runner() as runner:
            run = runner.get_loop().run_until_complete
            run(_empty(url, namespace))
            stores = [PostgresStore(url, namespace) for _ in range(count)]
            try:
                yield Stores(stores, run)
            finally:
                for store in stores:
                    run(store.close())

    return open_stores


async def _empty(url: str, namespace: str) -> None:
    path = {"search_path": settings.quoted(namespace)}
    connection = await asyncpg.connect(url, server_settings=path)
    try:
        await connection.execute(
            "truncate promises, callbacks, listeners, timers, schedules, groups, uses, troubles"
        )
    finally:
        await connection.close()
