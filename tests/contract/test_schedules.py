"""Schedules on every store: their rows, and that each instant has its promise once."""

from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker.background.schedules import fire_schedules
from resonate_sdk.protocol.records import Value
from resonate_store.state import Changes, LoadSet, Schedule
from resonate_store.store import ConflictError, Store
from tests.contract.rows import BORN_AT_MS
from tests.contract.server import Server

MINUTE = 60_000


def make_schedule(id: str = "s", **overrides: Any) -> Schedule:
    fields: dict[str, Any] = {
        "cron": "*/5 * * * *",
        "timezone": "Europe/Berlin",
        "overlap": "skip",
        "missed": "latest",
        "promise_id": "{{.id}}.{{.timestamp}}",
        "promise_timeout_ms": 9_000,
        "promise_param": Value(headers={"h": "v"}, data="x"),
        "promise_tags": {"a": "1", "b": "2"},
        "created_at_ms": BORN_AT_MS,
        "next_run_at_ms": BORN_AT_MS + MINUTE,
    }
    return Schedule(id=id, **(fields | overrides))


async def write(store: Store, changes: Changes, *ids: str) -> None:
    transaction = await store.begin(LoadSet(schedules=ids))
    await transaction.commit(changes)


async def create(store: Store, *schedules: Schedule) -> None:
    ids = (schedule.id for schedule in schedules)
    await write(store, Changes(schedules_created=schedules), *ids)


async def read(store: Store, *ids: str) -> tuple[Schedule, ...]:
    transaction = await store.begin(LoadSet(schedules=ids))
    await transaction.rollback()
    return transaction.loaded.schedules


# Rows


@pytest.mark.parametrize(
    "schedule",
    [
        make_schedule(),
        make_schedule(promise_param=Value(), promise_tags={}, last_run_at_ms=BORN_AT_MS),
        make_schedule(promise_param=Value(data=""), overlap="allow", missed="none"),
    ],
)
async def test_a_schedule_is_read_as_it_was_written(store, schedule: Schedule):
    await create(store, schedule)

    assert await read(store, "r", "s", "t") == (schedule,)
    assert (await store.snapshot()).schedules == (schedule,)


async def test_its_instants_are_updated_and_nothing_else(store):
    await create(store, make_schedule("a"), make_schedule("b"))
    later = replace(make_schedule("a"), next_run_at_ms=BORN_AT_MS + 9, last_run_at_ms=BORN_AT_MS)

    await write(store, Changes(schedules_updated=(later,)), "a")

    assert await read(store, "a", "b") == (later, make_schedule("b"))


async def test_a_deleted_schedule_is_gone(store):
    await create(store, make_schedule("a"), make_schedule("b"))

    await write(store, Changes(schedules_deleted=("a",)), "a")

    assert await read(store, "a", "b") == (make_schedule("b"),)


async def test_a_schedule_may_go_and_come_again_in_one_write(store):
    await create(store, make_schedule("a", last_run_at_ms=BORN_AT_MS))
    other = make_schedule("a", cron="0 0 * * *", missed="all", created_at_ms=BORN_AT_MS + 7)

    await write(store, Changes(schedules_deleted=("a",), schedules_created=(other,)), "a")

    assert await read(store, "a") == (other,)


async def test_one_that_exists_already_is_a_conflict_and_nothing_is_written(store):
    await create(store, make_schedule("b"))
    transaction = await store.begin(LoadSet(schedules=("a", "b")))
    created = (make_schedule("a"), make_schedule("b"))

    with pytest.raises(ConflictError):
        await transaction.commit(Changes(schedules_created=created))

    assert await read(store, "a", "b") == (make_schedule("b"),)


async def test_those_that_are_due_come_earliest_first_and_no_more_than_asked_for(store):
    instants = {"a": 7, "b": 5, "c": 6, "d": 9}
    await create(store, *(make_schedule(id, next_run_at_ms=at) for id, at in instants.items()))

    due = await store.due_schedules(2, 7)

    assert [schedule.id for schedule in due.schedules] == ["b", "c"]
    assert (due.now_ms, due.next_at_ms) == (7, 9)


async def test_without_an_instant_the_clock_of_the_store_counts(store):
    await create(
        store, make_schedule("a", next_run_at_ms=5), make_schedule("b", next_run_at_ms=2**62)
    )

    due = await store.due_schedules(9)

    assert [schedule.id for schedule in due.schedules] == ["a"]
    assert due.next_at_ms == 2**62
    assert due.now_ms >= BORN_AT_MS


async def test_schedules_are_found_by_tags_page_by_page(store):
    await create(
        store,
        make_schedule("a"),
        make_schedule("b", promise_tags={"a": "2"}),
        make_schedule("c"),
    )

    first = await store.search_schedules({"a": "1"}, None, 1)
    rest = await store.search_schedules({"a": "1"}, first.scanned_to, 5)

    assert ([s.id for s in first.schedules], first.scanned_to) == (["a"], "a")
    assert ([s.id for s in rest.schedules], rest.scanned_to) == (["c"], None)


# Each instant once


@pytest.fixture
async def servers(store, other) -> tuple[Server, Server]:
    """Two servers on one database; with SQLite, two kernels on one store."""
    return Server(store, 1_000), Server(other, 1_000)


async def ask(server: Server, kind: str, **data: Any) -> Any:
    head = {"corrId": "c", "version": "2026-04-01"}
    (answer,) = await server.ask([{"kind": kind, "head": head, "data": data}], together=True)
    assert answer.is_ok, answer
    return answer.data


async def wait(server: Server, ms: int) -> None:
    """Let time pass, until every instant that has come is seen to."""
    await server.pass_time(ms, is_told=False)
    while (await server.store.due_schedules(1, server.clock.now_ms)).schedules:
        await server.pass_time(0, is_told=False)


async def ids(server: Server) -> list[str]:
    return [promise.id for promise in (await server.store.snapshot()).promises]


async def schedule(server: Server, **overrides: Any) -> int:
    """Create a schedule of every minute; return its first instant."""
    data = {
        "id": "s",
        "cron": "* * * * *",
        "promiseId": "{{.id}}.{{.timestamp}}",
        "promiseTimeout": 3_600_000,
        "promiseTags": {"resonate:target": "g"},
    }
    answer = await ask(server, "schedule.create", **(data | overrides))
    return answer.schedule.next_run_at_ms


async def test_an_instant_has_its_promise_once_however_many_servers_see_it_come(servers):
    first, second = servers
    at_ms = await schedule(first)
    for server in servers:
        server.clock.now_ms = at_ms
        server.checked.is_internal = True

    # Both have read it before one of them has seen to it.
    bodies = [fire_schedules(), fire_schedules()]
    reads = [body.send(None) for body in bodies]
    found = [
        await server.store.due_schedules(read.limit, at_ms)
        for server, read in zip(servers, reads, strict=True)
    ]
    spawns = [body.send(due) for body, due in zip(bodies, found, strict=True)]
    for server, spawn in zip(servers, spawns, strict=True):
        for make in spawn.bodies:
            server.system.run_once(make)
        await server.run()

    assert await ids(second) == [f"s.{at_ms}"]
    (stored,) = (await second.store.snapshot()).schedules
    assert (stored.last_run_at_ms, stored.next_run_at_ms) == (at_ms, at_ms + MINUTE)


async def test_all_missed_instants_are_made_up_for_however_many(servers):
    server, _ = servers
    at_ms = await schedule(server)

    await wait(server, 250 * MINUTE)

    assert await ids(server) == [f"s.{at_ms + n * MINUTE}" for n in range(250)]


async def test_a_schedule_that_is_deleted_creates_nothing_more_and_its_promises_stay(servers):
    server, _ = servers
    at_ms = await schedule(server)
    await wait(server, MINUTE)

    await ask(server, "schedule.delete", id="s")
    await wait(server, 9 * MINUTE)

    assert await ids(server) == [f"s.{at_ms}"]


async def test_with_overlap_skip_the_next_waits_for_the_end_of_the_one_before(servers):
    server, _ = servers
    at_ms = await schedule(server, overlap="skip")
    for _ in range(3):
        await wait(server, MINUTE)
    assert await ids(server) == [f"s.{at_ms}"]

    await ask(server, "promise.settle", id=f"s.{at_ms}", state="resolved")
    await wait(server, MINUTE)

    assert await ids(server) == [f"s.{at_ms}", f"s.{at_ms + 3 * MINUTE}"]


async def test_the_task_of_an_occurrence_is_dispatched_with_its_creation(servers):
    server, _ = servers
    at_ms = await schedule(server)

    await wait(server, MINUTE)

    (hint,) = server.aio.published
    assert hint.message.data.task.id == f"s.{at_ms}"


async def test_a_schedule_that_is_replaced_in_one_batch_is_the_new_one(servers):
    server, other = servers
    await schedule(server)
    new = {"id": "s", "cron": "0 0 * * *", "promiseId": "q", "promiseTimeout": 5}
    head = {"corrId": "c", "version": "2026-04-01"}

    _, created = await server.ask(
        [
            {"kind": "schedule.delete", "head": head, "data": {"id": "s"}},
            {"kind": "schedule.create", "head": head, "data": new},
        ],
        together=True,
    )

    assert created.data.schedule.cron == "0 0 * * *"
    assert await ask(other, "schedule.get", id="s") == created.data


async def test_a_schedule_made_again_is_the_one_that_exists(servers):
    server, _ = servers
    await schedule(server)

    again = await ask(
        server, "schedule.create", id="s", cron="0 0 1 1 *", promiseId="x", promiseTimeout=1
    )

    assert again.schedule == (await ask(server, "schedule.get", id="s")).schedule
    assert (await ask(server, "schedule.search")).schedules == (again.schedule,)
