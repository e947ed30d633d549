"""C4: the instants of a store do not run backwards, whatever its clock does."""

from collections.abc import Callable

import pytest

from resonate_store.memory import MemoryStore
from resonate_store.postgres.data_path import DataPath
from resonate_store.sqlite import SqliteStore
from resonate_store.state import LoadSet
from resonate_store.store import Store

CLOCK = (1_000, 3_000, 2_000, 1_000, 4_000)
INSTANTS = [1_000, 3_000, 3_000, 3_000, 4_000]
Make = Callable[[Callable[[], int]], Store]


def in_a_file(now_ms: Callable[[], int]) -> Store:
    return SqliteStore(":memory:", now_ms)


@pytest.mark.parametrize("make", [MemoryStore, in_a_file], ids=["memory", "sqlite"])
async def test_a_clock_that_is_put_back_does_not_take_the_instants_back(make: Make):
    store = make(iter(CLOCK).__next__)

    instants = [
        (await store.begin(LoadSet())).loaded.now_ms,
        (await store.due(1)).now_ms,
        (await store.begin(LoadSet())).loaded.now_ms,
        (await store.search({}, None, 1)).now_ms,
        (await store.begin(LoadSet())).loaded.now_ms,
    ]
    await store.close()

    assert instants == INSTANTS


def test_nor_does_that_of_another_database_server():
    data_path = DataPath("postgresql://nobody@localhost/nothing", "default")

    assert [data_path.observe(now_ms) for now_ms in CLOCK] == INSTANTS
