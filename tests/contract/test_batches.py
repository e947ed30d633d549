"""A batch decides like its parts.

The same requests are carried out twice: each in a transaction of its own, and many in one. Answers,
messages and what is stored must be the same. After every coroutine of every batch the invariants
of the protocol are checked, and after every transaction that the store keeps what was decided.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings, strategies as st
from msgspec import Struct

from resonate_broker.kernel.chains import NOT_ATTEMPTED
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.responses import Answer
from resonate_store.postgres import PostgresStore, settings as postgres_settings
from resonate_store.postgres.migrate import migrate
from resonate_store.sqlite import SqliteStore
from resonate_store.state import Snapshot
from resonate_store.store import Store
from tests import invariants
from tests.contract.scripts import FREE, PRELUDE, WAITING, Step, World, envelope, steps
from tests.contract.server import NEVER_MS, Server
from tests.invariants.liveness import unfinished

# To make a failing script smaller takes minutes: who wants that, asks for it.
IS_SHRUNK = "RESONATE_TEST_SHRINK" in os.environ
PHASES = tuple(Phase) if IS_SHRUNK else (Phase.explicit, Phase.generate)


class Stores(Struct, frozen=True):
    """Empty stores of one kind, as many as wanted.

    Attributes:
        examples: how many random runs this kind of store is worth.
    """

    open: Callable[[], Any]
    examples: int


@asynccontextmanager
async def _sqlite() -> AsyncGenerator[Store]:
    store = SqliteStore(":memory:", lambda: 0)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _postgres(url: str, namespace: str) -> AsyncGenerator[Store]:
    path = {"search_path": postgres_settings.quoted(namespace)}
    connection = await asyncpg.connect(url, server_settings=path)
    await connection.execute("truncate promises, callbacks, listeners, timers")
    await connection.close()
    store = await PostgresStore.open(url, namespace)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def sqlite() -> Stores:
    return Stores(_sqlite, 150)


@pytest.fixture(params=["sqlite", "postgres"])
def stores(request: pytest.FixtureRequest, sqlite: Stores) -> Stores:
    if request.param == "sqlite":
        return sqlite
    url: str = request.getfixturevalue("module_database")
    namespace: str = request.getfixturevalue("namespace")
    for number in (0, 1):
        asyncio.run(migrate(url, f"{namespace}-{number}"))
    turns = iter(range(NEVER_MS))
    return Stores(lambda: _postgres(url, f"{namespace}-{next(turns) % 2}"), 12)


def run_often(
    stores: Stores,
    property: Callable[[list[Step]], Coroutine[Any, Any, None]],
    scripts: st.SearchStrategy[list[Step]],
) -> None:
    """Run a property on as many scripts as these stores are worth."""

    @settings(
        max_examples=stores.examples,
        derandomize=True,
        deadline=None,
        phases=PHASES,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(scripts)
    def holds(steps: list[Step]) -> None:
        asyncio.run(property(steps))

    holds()


async def carry_out(server: Server, step: Step, *, together: bool) -> list[Answer]:
    """Carry out the requests of a step."""
    world = World(await server.store.snapshot())
    return await server.ask([make(world) for make in step.requests], together=together)


async def begin(store: Store, window: int = limits.DISPATCH_WINDOW) -> Server:
    """A server whose store holds what every script begins with."""
    server = Server(store, window, note)
    world = World(Snapshot())
    prelude = [envelope(lambda _, request=request: request, None, world) for request in PRELUDE]
    answers = await server.ask(prelude, together=True)
    assert {answer.status for answer in answers} == {responses.OK}
    return server


async def decide_alike(stores: Stores, window: int, steps: list[Step]) -> None:
    async with stores.open() as first, stores.open() as second:
        batched, single = await begin(first, window), await begin(second, window)
        for step in steps:
            for server in (batched, single):
                await server.pass_time(step.advance_ms, is_told=step.is_told)
            answers = await carry_out(batched, step, together=True)
            expected = await carry_out(single, step, together=False)

            assert answers == expected
            assert batched.aio.published == single.aio.published
            assert await first.snapshot() == await second.snapshot()


def test_a_batch_decides_like_its_parts(stores: Stores):
    """Internal steps may come at any time, so they come when nobody could tell: before a batch."""
    property = partial(decide_alike, stores, limits.DISPATCH_WINDOW)
    run_often(stores, property, steps(*FREE, *WAITING))


def test_a_batch_decides_like_its_parts_when_most_tasks_have_to_wait_for_room(sqlite: Stores):
    run_often(sqlite, partial(decide_alike, sqlite, 2), steps(*FREE, *WAITING))


async def decide_alike_late(stores: Stores, steps: list[Step]) -> None:
    async with stores.open() as first, stores.open() as second:
        batched, single = await begin(first), await begin(second)
        for step in steps:
            for server in (batched, single):
                server.clock.now_ms += step.advance_ms
            answers = await carry_out(batched, step, together=True)
            expected = await carry_out(single, step, together=False)

            assert answers == expected
        for server in (batched, single):
            await server.pass_time(0, is_told=True)
        assert await first.snapshot() == await second.snapshot()


def test_a_batch_decides_like_its_parts_although_deadlines_have_passed_unnoticed(sqlite: Stores):
    """Without awaiters and listeners: when these are woken depends on who happens to look."""
    run_often(sqlite, partial(decide_alike_late, sqlite), steps(*FREE))


async def keep_invariants(stores: Stores, steps: list[Step]) -> None:
    for together in (True, False):
        async with stores.open() as store:
            server = await begin(store, window=2)
            for step in steps:
                server.clock.now_ms += step.advance_ms
                await carry_out(server, step, together=together)
                if step.is_told:
                    await server.pass_time(0, is_told=True)
            await server.pass_time(60_000_000, is_told=True)
            await server.pass_time(600_000, is_told=True)
            assert_quiet(await store.snapshot(), server.clock.now_ms)


def assert_quiet(snapshot: Snapshot, now_ms: int) -> None:
    """After enough internal steps nothing is owed, nothing is due, and nothing will be."""
    assert list(unfinished(invariants.Stored.of(snapshot), now_ms)) == []
    assert (snapshot.callbacks, snapshot.listeners, snapshot.timers) == ((), (), ())


def test_deadlines_wakes_and_leases_keep_the_invariants_whenever_they_are_noticed(stores: Stores):
    """The checks are in the dispatcher and in the AIO of the servers."""
    run_often(stores, partial(keep_invariants, stores), steps(*FREE, *WAITING))


async def break_chains(stores: Stores, steps: list[Step]) -> None:
    async with stores.open() as store:
        server = await begin(store)
        for number, step in enumerate(steps):
            await server.pass_time(step.advance_ms, is_told=step.is_told)
            world = World(await store.snapshot())
            requests = [make(world) for make in step.requests]
            answers = await server.ask(requests, together=number % 2 == 0)

            broken: set[str] = set()
            for request, answer in zip(requests, answers, strict=True):
                chain = request["head"].get("chain")
                is_refused_at_the_edge = answer.status == responses.MALFORMED
                assert (answer == NOT_ATTEMPTED) is (chain in broken) or is_refused_at_the_edge
                if chain is not None and not answer.is_ok:
                    broken.add(chain)


def test_the_items_of_a_chain_are_attempted_until_one_is_not_answered_200(sqlite: Stores):
    run_often(sqlite, partial(break_chains, sqlite), steps(*FREE, *WAITING))
