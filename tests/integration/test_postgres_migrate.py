"""Bringing a schema to the version of this release, and refusing those of others."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from urllib.parse import urlsplit

import asyncpg
import pytest

from resonate_store.postgres import PostgresStore, migrate as module, settings
from resonate_store.postgres.connection import connect
from resonate_store.postgres.migrate import Migration, check, migrate, migrations
from resonate_store.queries import load_queries
from resonate_store.store import RejectedError, SchemaError, UnavailableError

ALL = tuple(migration.name for migration in migrations())
FIRST = Migration(1, "0001_one.sql", "create table one (n integer); insert into one values (1);")
SECOND = Migration(2, "0002_two.sql", "alter table one rename to two;")
THIRD = Migration(3, "0003_three.sql", "insert into two values (3);")
BROKEN = Migration(2, "0002_broken.sql", "insert into one values (2); select 1 / 0;")

WAITING_SECONDS_MAX = 10
QUERIES = load_queries("resonate_store.postgres", "migrate.sql")
MIGRATIONS_WAITING = """
    select pid from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'
"""
MIGRATE = """
import asyncio, sys
from resonate_store.postgres.migrate import migrate
print(*asyncio.run(migrate(*sys.argv[1:])))
"""


async def fetch(url: str, namespace: str, sql: str) -> list[tuple[object, ...]]:
    search_path = {"search_path": settings.quoted(namespace)}
    connection = await asyncpg.connect(url, server_settings=search_path)
    rows = await connection.fetch(sql)
    await connection.close()
    return [tuple(row) for row in rows]


async def check_tables(url: str, namespace: str) -> None:
    connection = await connect(url, settings.reads(namespace))
    try:
        await check(connection, namespace)
    finally:
        await connection.close()


async def test_a_fresh_database_gets_all_that_the_release_knows(module_database, namespace):
    assert await migrate(module_database, namespace) == ALL

    store = await PostgresStore.open(module_database, namespace)
    await store.close()
    recorded = await fetch(module_database, namespace, "select name from schema_versions")
    assert recorded == [(name,) for name in ALL]


async def test_what_was_applied_is_not_applied_again(module_database, namespace):
    await migrate(module_database, namespace)

    assert await migrate(module_database, namespace) == ()


async def test_a_schema_that_somebody_else_made_is_used(module_database, namespace):
    await fetch(module_database, namespace, f'create schema "{namespace}"')

    assert await migrate(module_database, namespace) == ALL


async def test_namespaces_do_not_see_each_other(module_database, namespace):
    await migrate(module_database, namespace)

    with pytest.raises(SchemaError, match="has no tables: run `resonate migrate`"):
        await PostgresStore.open(module_database, f"{namespace}-2")


async def test_two_processes_take_turns(module_database, namespace):
    lock = await asyncpg.connect(module_database)
    await lock.execute("begin")
    await lock.fetch(QUERIES["take_turns"], namespace)
    servers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE, module_database, namespace, stdout=PIPE
        )
        for _ in range(2)
    ]
    try:
        async with asyncio.timeout(WAITING_SECONDS_MAX):
            while len(await fetch(module_database, namespace, MIGRATIONS_WAITING)) < len(servers):
                pass  # asking is all the waiting there is
    finally:
        await lock.close()
        outputs = [(await server.communicate())[0].decode().split() for server in servers]

    assert sorted(name for output in outputs for name in output) == sorted(ALL)
    assert [server.returncode for server in servers] == [0, 0]


async def test_several_versions_are_applied_in_order(module_database, namespace):
    steps = (FIRST, SECOND, THIRD)

    applied = await migrate(module_database, namespace, steps)

    assert applied == tuple(step.name for step in steps)
    assert await fetch(module_database, namespace, "select n from two") == [(1,), (3,)]


async def test_a_newer_release_goes_on_where_the_older_one_stopped(module_database, namespace):
    await migrate(module_database, namespace, (FIRST,))

    assert await migrate(module_database, namespace, (FIRST, SECOND)) == (SECOND.name,)


async def test_a_step_that_fails_leaves_the_steps_before_it(module_database, namespace):
    with pytest.raises(RejectedError, match="division by zero"):
        await migrate(module_database, namespace, (FIRST, BROKEN))
    assert await fetch(module_database, namespace, "select n from one") == [(1,)]

    assert await migrate(module_database, namespace, (FIRST, SECOND)) == (SECOND.name,)


async def test_a_file_that_was_edited_is_noticed(module_database, namespace):
    await migrate(module_database, namespace, (FIRST,))
    edited = Migration(1, FIRST.name, FIRST.sql + " ")

    with pytest.raises(SchemaError, match="was made by another 0001_one"):
        await migrate(module_database, namespace, (edited, SECOND))


async def test_a_schema_of_a_newer_release_is_left_alone(module_database, namespace):
    await migrate(module_database, namespace, (FIRST, SECOND))

    with pytest.raises(SchemaError, match="version 2, this release knows 1: migrate with"):
        await migrate(module_database, namespace, (FIRST,))


@pytest.mark.parametrize(
    ("needed", "refusal"),
    [
        (3, "has version 2, this release needs 3: run `resonate migrate`"),
        (2, None),
        (1, None),
        (0, "has version 2, this release works with 0 and 1: start a newer release"),
    ],
    ids=["older", "its own", "next", "after next"],
)
async def test_a_release_serves_its_own_tables_and_the_next_ones(
    module_database, namespace, needed, refusal, monkeypatch
):
    await migrate(module_database, namespace, (FIRST, SECOND))
    monkeypatch.setattr(module, "migrations", lambda: (Migration(needed, "", ""),))

    if refusal is None:
        await check_tables(module_database, namespace)
    else:
        with pytest.raises(SchemaError, match=refusal):
            await check_tables(module_database, namespace)


@pytest.mark.parametrize("namespace", ["", "A", "a.b", 'a"b', "pg_a", "a" * 33])
async def test_a_namespace_that_cannot_name_a_schema_is_refused(module_database, namespace):
    with pytest.raises(SchemaError, match="cannot be the name of a schema"):
        await migrate(module_database, namespace)


async def test_a_database_that_cannot_hold_every_text_is_refused(postgres_server, namespace):
    name = f"latin_{namespace[-6:]}"
    create = f"create database {name} template template0 encoding 'LATIN1' locale 'C'"
    url = urlsplit(postgres_server)._replace(path=f"/{name}").geturl()

    await fetch(postgres_server, namespace, create)
    with pytest.raises(SchemaError, match="has the encoding LATIN1, it takes UTF8"):
        await migrate(url, namespace)
    await fetch(postgres_server, namespace, f"drop database {name} with (force)")


async def test_without_a_database_migration_says_so(namespace):
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await migrate("postgresql://nobody@127.0.0.1:1/nothing", namespace)
