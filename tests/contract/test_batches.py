"""A batch decides like its parts.

The same requests are carried out twice: each in a transaction of its own, and many in one. Answers,
messages and what is stored must be the same. After every coroutine of every batch the invariants
of the protocol are checked, and after every transaction that the store keeps what was decided.
"""

import asyncio
import json
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings, strategies as st
from msgspec import Struct
from msgspec.structs import replace

from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_broker.background.listener_drain import forget_listeners
from resonate_broker.background.sweep import sweep
from resonate_broker.background.top_up import send_queued
from resonate_broker.background.windows import Windows
from resonate_broker.kernel.batch import NOT_ATTEMPTED, Chain
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.entries import CQE, SQE
from resonate_broker.kernel.submissions import (
    AioCompletion,
    AioSubmission,
    Begin,
    Outgoing,
    Probed,
    Publish,
    Published,
    ReadDue,
    Search,
    StoreFailed,
    Write,
    Written,
)
from resonate_broker.kernel.system import SWEEP, AioCQE, AioSQE, Completed, Submitted, System
from resonate_broker.kernel.working_state import WorkingState
from resonate_broker.operations import register_operations
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.envelope import Decoded, Malformed, decode_body
from resonate_sdk.protocol.responses import Answer, PromisePage
from resonate_store.postgres import PostgresStore, settings as postgres_settings
from resonate_store.postgres.migrate import migrate
from resonate_store.sqlite import SqliteStore
from resonate_store.state import Changes, Due, Snapshot
from resonate_store.store import ConflictError, Store, Transaction
from tests import invariants
from tests.contract.scripts import FREE, NOW, PRELUDE, WAITING, Step, World, envelope, steps
from tests.invariants.liveness import unfinished

# To make a failing script smaller takes minutes: who wants that, asks for it.
IS_SHRUNK = "RESONATE_TEST_SHRINK" in os.environ
PHASES = tuple(Phase) if IS_SHRUNK else (Phase.explicit, Phase.generate)
NEVER_MS = 1 << 60
ROUNDS_MAX = 30
GROUPS = ("g", "h")


class Clock:
    """The instant at which everything happens until a test moves it."""

    def __init__(self) -> None:
        self.now_ms = NOW

    def __call__(self) -> int:
        return self.now_ms


class CheckedDispatch:
    """Dispatches, and checks the invariants after each coroutine of a batch (C21)."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.is_internal = False
        self._stored = invariants.Stored.of(Snapshot())
        self._before = self._stored
        self._sent = 0

    def begin(self, stored: Snapshot, now_ms: int) -> None:
        """A batch begins on this."""
        self._stored = invariants.check_snapshot(stored, now_ms, is_lonely=True)
        self._before = self._stored
        self._sent = 0

    def decided(self, state: WorkingState) -> None:
        self.dispatch.decided(state)
        after = self._stored.after(state.changes())
        sent = state.outgoing()
        invariants.check_state(after, state.now_ms)
        invariants.check_transition(
            self._before, after, state.now_ms, sent[self._sent :], is_internal=self.is_internal
        )
        self._before, self._sent = after, len(sent)

    def committed(self, outgoing: Sequence[Outgoing]) -> None:
        self.dispatch.committed(outgoing)

    def written(self, changes: Changes, stored: Snapshot) -> None:
        """A batch is durable: the store has what was decided."""
        assert not self._stored.after(changes).differences(invariants.Stored.of(stored))


class StoreAIO:
    """Carries out the effects of a kernel on a store, at the instants of our clock."""

    def __init__(self, store: Store, clock: Clock, checked: CheckedDispatch) -> None:
        self._store = store
        self._clock = clock
        self._checked = checked
        self._submitted = deque[AioSQE]()
        self._completed = deque[AioCQE]()
        self._transaction: Transaction | None = None
        self.published: list[Outgoing] = []

    def try_submit(self, sqe: AioSQE) -> bool:
        self._submitted.append(sqe)
        return True

    def flush(self) -> None:
        pass

    def completions(self, count_max: int) -> Sequence[AioCQE]:
        return [self._completed.popleft() for _ in range(min(count_max, len(self._completed)))]

    async def serve(self) -> bool:
        """Carry out what was submitted; whether there was anything."""
        is_busy = bool(self._submitted)
        while self._submitted:
            sqe = self._submitted.popleft()
            self._completed.append(CQE(await self._carry_out(sqe.submission), sqe.callback))
        return is_busy

    async def _carry_out(self, submission: AioSubmission) -> AioCompletion:
        match submission:
            case Begin(load=load):
                if self._transaction is not None:
                    await self._transaction.rollback()
                self._checked.begin(await self._store.snapshot(), self._clock.now_ms)
                self._transaction = await self._store.begin(load)
                return replace(self._transaction.loaded, now_ms=self._clock.now_ms)
            case Write(changes=changes):
                return await self._write(changes)
            case ReadDue(limit=limit):
                return await self._due(limit)
            case Search(tags=tags, after=after, limit=limit):
                page = await self._store.search(tags, after, limit)
                return replace(page, now_ms=self._clock.now_ms)
            case Publish(messages=messages):
                self.published.extend(messages)
                return Published(())
            case _:
                return None

    async def _write(self, changes: Changes) -> AioCompletion:
        assert self._transaction is not None
        transaction, self._transaction = self._transaction, None
        try:
            await transaction.commit(changes)
        except ConflictError as error:
            return StoreFailed("aborted", str(error))
        self._checked.written(changes, await self._store.snapshot())
        return Written()

    async def _due(self, limit: int) -> Due:
        """The clock of the database is not ours: find what is due by itself."""
        now_ms = self._clock.now_ms
        timers = (await self._store.snapshot()).timers
        due = tuple(timer for timer in timers if timer.due_at_ms <= now_ms)
        return Due(now_ms=now_ms, timers=due[:limit], next_at_ms=None)


class Server:
    """A kernel on a store that ticks when a test says so."""

    def __init__(self, store: Store, window: int) -> None:
        self.clock = Clock()
        self.store = store
        self.windows = Windows(window)
        self.dispatch = Dispatch(self.windows, lambda at_ms: None)
        self.checked = CheckedDispatch(self.dispatch)
        self.aio = StoreAIO(store, self.clock, self.checked)
        self.system = System(self.aio, self.checked, forget_listeners)
        register_operations(self.system, partitions=1, on_group=lambda group: None)
        self.system.add_background(SWEEP, self._sweep, NEVER_MS)

    def _sweep(self) -> Body:
        if self.checked.is_internal:
            yield from sweep(self.dispatch, LeaseGuard(0))

    async def run(self) -> None:
        """Tick until nothing can be done."""
        for _ in range(10_000):
            self.system.tick(self.clock.now_ms)
            if not await self.aio.serve() and self.system.is_idle:
                return
        raise AssertionError("the kernel ticks for ever")

    async def ask(self, requests: Sequence[dict[str, Any]], *, together: bool) -> list[Answer]:
        """What the requests of one message are answered."""
        note(f"{'together' if together else 'apart'}: {json.dumps(requests)}")
        items = decode_body(json.dumps(requests).encode()).items
        answers: dict[int, Answer] = {}
        chains: dict[str, Chain] = {}
        for index, item in enumerate(items):
            name = requests[index]["head"].get("chain")
            link = chains.setdefault(name, Chain()).link() if name else None
            match item:
                case Malformed(reason=reason):
                    answers[index] = Answer(responses.MALFORMED, reason)
                    if link is not None:
                        link.fail()
                case Decoded(request=request):
                    sqe = SQE(Submitted(request, link), partial(_note, answers, index))
                    assert self.system.submit(sqe)
            if not together:
                await self.run()
        await self.run()
        return [answers[index] for index in range(len(items))]

    async def pass_time(self, ms: int, *, is_told: bool) -> None:
        """Let time pass, and take all internal steps that are due then, until none is.

        Args:
            ms: so much time.
            is_told: whether messages for listeners arrived meanwhile.
        """
        note(f"{ms} ms pass")
        self.clock.now_ms += ms
        self.checked.is_internal = True
        told = tuple(outgoing for outgoing in self.aio.published if outgoing.listener is not None)
        self.aio.published.clear()
        if is_told and told:
            self.system.run_once(partial(forget_listeners, told))
            await self.run()
        for group in GROUPS:
            window = self.windows.of(group)
            window.end_probe(Probed(ready=0, consumers=1, unconfirmed=0), self.clock.now_ms)
        await self._sweep_all()
        for group in GROUPS:
            for id in await self.store.queued(group, 1_000):
                self.system.run_once(partial(send_queued, id, self.dispatch))
            await self.run()
            self.windows.of(group).has_queued = bool(await self.store.queued(group, 1))
        self.checked.is_internal = False

    async def _sweep_all(self) -> None:
        for _ in range(ROUNDS_MAX):
            self.system.wake(SWEEP)
            await self.run()
            timers = (await self.store.snapshot()).timers
            if not timers or timers[0].due_at_ms > self.clock.now_ms:
                return
        raise AssertionError("what is due stays due")


def _note(answers: dict[int, Answer], index: int, completed: Completed) -> None:
    assert completed.crash is None, completed
    answer = completed.answer
    if isinstance(answer.data, PromisePage):
        # A search reads when its batch is durable: it may find what was written behind it.
        answer = replace(answer, data=PromisePage(promises=()))
    answers[index] = answer


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
    server = Server(store, window)
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
