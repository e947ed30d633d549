"""What a SQLite file that cannot be used says: an error of a store, in one sentence."""

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from resonate_sdk.protocol import tags as tag
from resonate_store.sqlite import SqliteStore
from resonate_store.state import Changes, LoadSet, Timer, Wanted
from resonate_store.store import RejectedError, SchemaError, UnavailableError
from tests.contract.rows import BORN_AT_MS, create, make_promise

PAGE = 4096

READS: dict[str, Callable[[SqliteStore], Awaitable[Any]]] = {
    "begin": lambda store: store.begin(LoadSet(ids=("p",))),
    "begin settling": lambda store: store.begin(LoadSet(ids=("p",), settling=("p",))),
    "begin preload": lambda store: store.begin(LoadSet(preload=("p",))),
    "due": lambda store: store.due(10),
    "queued": lambda store: store.queued("g", Wanted(count_max=10)),
    "queued_groups": lambda store: store.queued_groups(10),
    "acquired": lambda store: store.acquired("", 10),
    "search": lambda store: store.search({}, None, 10),
    "search origin": lambda store: store.search({tag.ORIGIN: "p"}, None, 10),
    "snapshot": lambda store: store.snapshot(),
}
READ = pytest.mark.parametrize("read", READS.values(), ids=READS.keys())


def open_store(path: Path | str) -> SqliteStore:
    return SqliteStore(path, lambda: BORN_AT_MS)


@pytest.fixture
async def store(tmp_path) -> AsyncGenerator[SqliteStore]:
    store = open_store(tmp_path / "promises.db")
    await create(store, make_promise("p"))
    yield store
    await store.close()


@READ
async def test_a_read_that_is_broken_off_says_that_the_file_cannot_be_used(store, read):
    store._connection.set_progress_handler(lambda: 1, 1)

    with pytest.raises(UnavailableError, match="cannot be used: interrupted") as caught:
        await read(store)

    assert store.path in str(caught.value)
    store._connection.set_progress_handler(None, 1)
    await read(store)


@READ
async def test_a_read_of_a_damaged_file_says_so_and_what_to_do(tmp_path, read):
    path = tmp_path / "promises.db"
    whole = open_store(path)
    await create(whole, make_promise("p"))
    await whole.close()
    content = path.read_bytes()
    path.write_bytes(content[:PAGE] + b"\xff" * (len(content) - PAGE))
    store = open_store(path)

    with pytest.raises(SchemaError, match=r"is damaged: .*: restore it from a copy, or") as caught:
        await read(store)
    await store.close()

    assert str(path) in str(caught.value)


async def test_a_write_to_a_damaged_file_says_so(tmp_path):
    path = tmp_path / "promises.db"
    await open_store(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:PAGE] + b"\xff" * (len(content) - PAGE))
    store = open_store(path)

    with pytest.raises(SchemaError, match="is damaged"):
        store.write(Changes(created=(make_promise("p"),)))
    await store.close()


async def test_a_write_that_the_tables_do_not_allow_is_refused_for_good(store):
    store._connection.execute("alter table timers rename to elsewhere")
    store._connection.execute("create table timers (due_at integer, id text check (id = 'x'))")

    with pytest.raises(RejectedError, match=str(store.path)):
        store.write(Changes(timers_armed=(Timer(1, "p"),)))


# Files that are not ours


def foreign(path: Path, *statements: str) -> Path:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return path


@pytest.mark.parametrize(
    "statements",
    [
        ["create table customers (name text)"],
        ["create table promises (id text)"],
        ["create table customers (name text)", "pragma user_version = 1"],
        ["pragma user_version = 7"],
        ["pragma application_id = 7"],
        ["pragma journal_mode = wal", "create table customers (name text)"],
    ],
    ids=["tables", "tables of our names", "version 1", "only a version", "its mark", "wal"],
)
async def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path, statements):
    path = foreign(tmp_path / "customers.db", *statements)
    before = path.read_bytes()

    with pytest.raises(SchemaError) as caught:
        open_store(path)

    assert str(caught.value) == (
        f"{path} is another program's database: give path= a file of its own"
    )
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["customers.db"]


@pytest.mark.parametrize("statements", [[], ["pragma journal_mode = wal"]], ids=["none", "wal"])
async def test_a_file_with_nothing_in_it_may_be_taken(tmp_path, statements):
    path = foreign(tmp_path / "promises.db", *statements)
    path.touch()

    store = open_store(path)
    await create(store, make_promise("p"))
    await store.close()


async def test_a_file_bears_our_mark_and_is_opened_again(tmp_path):
    path = tmp_path / "promises.db"
    await open_store(path).close()

    assert path.read_bytes()[68:72] == b"rsn8"
    await open_store(path).close()


async def test_a_file_whose_making_was_broken_off_is_made_to_the_end(tmp_path):
    path = tmp_path / "promises.db"
    await open_store(path).close()
    foreign(path, "pragma user_version = 0", "drop table timers")

    store = open_store(path)
    await store.due(1)
    await store.close()


async def test_a_file_of_another_release_names_both_schemas(tmp_path):
    path = tmp_path / "promises.db"
    await open_store(path).close()
    foreign(path, "pragma user_version = 7")

    with pytest.raises(SchemaError, match="has schema 7, this release needs 1"):
        open_store(path)
