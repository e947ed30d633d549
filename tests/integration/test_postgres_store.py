"""PostgreSQL with several servers: what they lock, what they see, and whom they wait for."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, NoReturn

import msgspec
import pytest
from msgspec.structs import replace

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import TriggerRecord, Value
from resonate_store.postgres import (
    PostgresStore,
    connection,
    data_path,
    fate,
    settings,
    transaction,
)
from resonate_store.postgres.errors import LockTimeoutError, LostInsertError
from resonate_store.postgres.store import READERS_MAX
from resonate_store.state import (
    Callback,
    Changes,
    Event,
    Group,
    Listener,
    LoadSet,
    Snapshot,
    Timer,
)
from resonate_store.store import RejectedError, UnavailableError
from tests.contract import test_schedules as schedules
from tests.contract.rows import (
    create,
    ids_of,
    make_child,
    make_promise,
    make_remote_child,
    make_task,
    read,
    write,
)

PENDING = make_promise("x", task=make_task())
ACQUIRED = make_promise("x", task=make_task(state="acquired", version=1, pid="worker-1"))
FREED_SECONDS_MAX = 5
AT_ONCE_SECONDS_MAX = 1
NO_SECONDS = 1e-9
TIMES_LOOKED_AT = 20  # by the test; the store looks at each turn of its loop then


@pytest.fixture
async def tending(store) -> AsyncGenerator[asyncio.Task[NoReturn]]:
    """What a server has run beside the batches."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(store.tend())
        yield task
        task.cancel()


@asynccontextmanager
async def waiting_behind(holder, waiter, load, observer):
    """Let `waiter` begin while `holder`, an open transaction, has a row that it needs."""
    async with asyncio.TaskGroup() as group:
        begun = group.create_task(waiter.begin(load))
        await observer.until_blocked()
        yield begun
    await begun.result().rollback()


# C1: lock first, read afterwards


async def test_what_was_begun_with_the_commit_before_reads_what_is_there_now(
    store, other, observer
):
    first = await store.begin(LoadSet(ids=("x",)))
    await first.commit(Changes(created=(PENDING,)))
    others = await other.begin(LoadSet(ids=("x",)))  # nothing is held in between
    await others.commit(Changes(updated=(ACQUIRED,)))

    second = await store.begin(LoadSet(ids=("x",)))

    assert second.loaded.promises == (ACQUIRED,)
    assert second.loaded.now_ms >= others.loaded.now_ms
    await second.rollback()
    assert await observer.fetchval("select count(*) from promises") == 1


async def test_what_was_begun_and_is_not_used_is_ended(store, tending, observer):
    await create(store, PENDING)
    await observer.until_idle()

    await write(store, Changes(updated=(ACQUIRED,)))
    await observer.until_idle()

    assert await read(store, "x") == ACQUIRED


async def test_what_was_begun_in_a_session_that_broke_needs_no_end(
    store, tending, observer, monkeypatch
):
    monkeypatch.setattr(data_path, "AHEAD_SECONDS", 0)
    used = await store.begin(LoadSet(ids=("x",)))
    await observer.end_sessions()
    with pytest.raises(UnavailableError):
        await used.commit(Changes(created=(PENDING,)))

    assert await read(store, "x") is None
    assert not tending.done()


async def test_what_is_in_use_stays_open(store, tending, observer, monkeypatch):
    monkeypatch.setattr(data_path, "AHEAD_SECONDS", 0)
    used = await store.begin(LoadSet(ids=("x",)))

    states = {await observer.state() for _ in range(TIMES_LOOKED_AT)}
    await used.commit(Changes(created=(PENDING,)))
    await observer.until_idle()

    assert states == {"idle in transaction"}
    assert await read(store, "x") == PENDING


async def test_a_session_that_breaks_behind_a_commit_is_replaced(store, observer):
    first = await store.begin(LoadSet(ids=("x",)))
    await first.commit(Changes(created=(PENDING,)))
    await observer.end_sessions()

    with suppress(UnavailableError):  # the store may know it already
        await (await store.begin(LoadSet())).rollback()
    second = await store.begin(LoadSet(ids=("x",)))
    await second.commit(Changes(updated=(ACQUIRED,)))

    assert await read(store, "x") == ACQUIRED


async def test_who_waited_for_a_task_sees_that_it_was_granted(store, other, observer):
    await create(store, PENDING)

    first = await other.begin(LoadSet(ids=("x",)))
    async with waiting_behind(first, store, LoadSet(ids=("x",)), observer) as second:
        await first.commit(Changes(updated=(ACQUIRED,)))

    assert second.result().loaded.promises == (ACQUIRED,)


async def test_of_two_servers_one_publishes_events_and_the_other_does_not_wait(store, other):
    event = Event(origin="x", kind="promise.created", subject="x", group="", at_ms=1, data="{}")
    await write(store, Changes(events=(event,)))

    async with store.events.claim(10) as ours, other.events.claim(10) as theirs:
        assert [numbered.event for numbered in ours.events] == [event]
        assert theirs.events == []

    async with other.events.claim(10) as later:
        assert [numbered.event for numbered in later.events] == [event]


async def test_a_trigger_that_was_made_anew_is_not_removed_as_the_one_before(store, other):
    trigger = TriggerRecord(
        id="t",
        exchange="shop",
        routing_key="k",
        promise_id="{{.message_id}}",
        timeout_ms=1,
        created_at_ms=0,
    )
    await store.triggers.insert(trigger)
    await store.triggers.end("t")
    await other.triggers.remove("t")
    await other.triggers.insert(trigger)

    await store.triggers.remove("t")

    assert [found.id for found in await store.triggers.all()] == ["t"]


async def test_the_numbers_of_its_events_go_with_a_tree(store, observer):
    settled = make_promise("x", state="resolved", settled_at_ms=1)
    event = Event(origin="x", kind="promise.created", subject="x", group="", at_ms=1, data="{}")
    await write(store, Changes(created=(settled,), events=(event,)))
    async with store.events.claim(10) as claim:
        await claim.forget([numbered.position for numbered in claim.events])
    numbers = "select count(*) from event_origins"
    before = await observer.fetchval(numbers)

    assert await store.remove_tree("x", 1, 10) == 1

    assert (before, await observer.fetchval(numbers)) == (1, 0)


async def test_who_waited_to_settle_sees_who_has_come_to_wait(store, other, observer):
    await create(store, make_promise("a"), ACQUIRED)
    suspended = replace(ACQUIRED, task=make_task(state="suspended", version=1))
    callback, listener = Callback("a", "x"), Listener("a", "amqp://any@g")

    first = await other.begin(LoadSet(ids=("a", "x")))
    settle_a = LoadSet(ids=("a",), settling=("a",))
    async with waiting_behind(first, store, settle_a, observer) as second:
        await first.commit(
            Changes(updated=(suspended,), callbacks_added=(callback,), listeners_added=(listener,))
        )

    loaded = second.result().loaded
    assert loaded.promises == (make_promise("a"), suspended)
    assert loaded.callbacks == (callback,)
    assert loaded.listeners == (listener,)


async def test_what_is_inserted_while_the_lock_is_waited_for_does_not_exist(store, other, observer):
    await create(store, make_promise("b"), PENDING)
    everything = LoadSet(ids=("a", "b"), settling=("a", "b"))

    first = await other.begin(everything)
    async with asyncio.TaskGroup() as group:
        begun = group.create_task(store.begin(everything))
        await observer.until_blocked()
        await first.commit(
            Changes(
                created=(make_promise("a"),),
                callbacks_added=(Callback("a", "x"),),
                listeners_added=(Listener("a", "amqp://any@g"),),
            )
        )
    second = begun.result()

    assert "a" not in ids_of(second.loaded.promises)
    assert second.loaded.callbacks == ()
    assert second.loaded.listeners == ()
    free = await observer.fetch("select id from promises where id = 'a' for update nowait")
    assert len(free) == 1

    with pytest.raises(LostInsertError):
        await second.commit(Changes(created=(make_promise("a", param=Value(data="late")),)))
    assert store.conflicts == {"LostInsertError": 1}
    assert await read(store, "a") == make_promise("a")


GROUP = Group(name="g", concurrency=1)
FULL_GROUP = replace(GROUP, held={"x": ""})


async def test_who_waited_for_the_limits_of_a_group_sees_what_is_used_up(store, other, observer):
    await write(store, Changes(created=(PENDING,), groups_put=(GROUP,)))

    first = await other.begin(LoadSet(ids=("x",), groups=("g",)))
    async with waiting_behind(first, store, LoadSet(groups=("f", "g")), observer) as second:
        limits_too_late = Group(name="f", concurrency=1)
        await first.commit(Changes(updated=(ACQUIRED,), groups_put=(limits_too_late, FULL_GROUP)))

    assert second.result().loaded.groups == (FULL_GROUP,)


async def test_a_place_that_is_given_while_a_group_adopts_others_is_kept(store, other, observer):
    await write(store, Changes(created=(PENDING,), groups_put=(GROUP,)))

    first = await other.begin(LoadSet(ids=("x",), groups=("g",)))
    async with asyncio.TaskGroup() as group:
        group.create_task(store.adopt("g"))
        await observer.until_blocked()
        await first.commit(Changes(updated=(ACQUIRED,), groups_put=(FULL_GROUP,)))

    assert (await store.backlog(1)).groups == (FULL_GROUP,)


async def test_who_waited_for_a_schedule_sees_what_became_of_it(store, other, observer):
    before, late = schedules.make_schedule("s"), schedules.make_schedule("late")
    after = replace(before, last_run_at_ms=before.next_run_at_ms)
    await schedules.create(store, before)

    first = await other.begin(LoadSet(schedules=("s",)))
    async with waiting_behind(first, store, LoadSet(schedules=("late", "s")), observer) as second:
        await first.commit(Changes(schedules_created=(late,), schedules_updated=(after,)))

    assert second.result().loaded.schedules == (after,)


# C2: only one statement waits


async def test_an_awaiter_that_somebody_holds_is_left_to_the_drain(store, other):
    await create(store, make_promise("a"), make_promise("b", task=make_task()), PENDING)
    callbacks = (Callback("a", "b"), Callback("a", "x"))
    await write(store, Changes(callbacks_added=callbacks), ids=("a",))

    holder = await other.begin(LoadSet(ids=("b",)))
    async with asyncio.timeout(AT_ONCE_SECONDS_MAX):
        transaction = await store.begin(LoadSet(ids=("a",), settling=("a",)))
    await transaction.rollback()
    await holder.rollback()

    assert ids_of(transaction.loaded.promises) == ["a", "x"]
    assert transaction.loaded.callbacks == callbacks


async def test_forgetting_who_was_told_waits_for_nobody(store, observer):
    told = (Listener("a", "amqp://any@g"), Listener("b", "amqp://any@g"))
    reminders = (Timer(1, "a"), Timer(1, "b"), Timer(2, "c"), Timer(2, "d"))
    await write(store, Changes(listeners_added=told, timers_armed=reminders))

    await observer.execute("begin")
    await observer.fetch("select from listeners where awaited = 'a' for update")
    await observer.fetch("select from timers where id in ('b', 'c') for update")
    async with asyncio.timeout(AT_ONCE_SECONDS_MAX):
        await write(
            store,
            Changes(listeners_told=told, timers_told=reminders[:2], timers_disarmed=reminders[2:]),
        )
    await observer.execute("rollback")

    # What was held is left behind, with the timers that make somebody look again.
    left = Snapshot(listeners=told[:1], timers=reminders[:3])
    assert await store.snapshot() == left


async def test_a_search_sees_no_locks(store, other):
    await create(store, PENDING)

    holder = await other.begin(LoadSet(ids=("x",)))
    async with asyncio.timeout(AT_ONCE_SECONDS_MAX):
        page = await store.search({}, None, 10)
    await holder.rollback()

    assert page.promises == (PENDING,)


async def test_reads_run_beside_each_other_and_beside_a_transaction(store):
    transaction = await store.begin(LoadSet(ids=("x",)))
    async with asyncio.TaskGroup() as group:
        reads = [group.create_task(store.due(1)) for _ in range(3 * READERS_MAX)]
    await transaction.commit(Changes(created=(PENDING,)))

    assert all(read.result().timers == () for read in reads)


# C3: a server that is frozen

FROZEN_SERVER = """
import asyncio, sys
from resonate_store.postgres import PostgresStore
from resonate_store.state import LoadSet

async def main(url, namespace):
    store = await PostgresStore.open(url, namespace)
    await store.begin(LoadSet(ids=("x",)))
    print("holding", flush=True)
    sys.stdin.read()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_the_rows_of_a_frozen_server_can_soon_be_had(store, tables):
    await create(store, PENDING)
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        FROZEN_SERVER,
        tables.url,
        tables.namespace,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        assert await server.stdout.readline() == b"holding\n"
        os.kill(server.pid, signal.SIGSTOP)

        async with asyncio.timeout(FREED_SECONDS_MAX):
            with pytest.raises(LockTimeoutError):
                await store.begin(LoadSet(ids=("x",)))
            assert await read(store, "x") == PENDING
    finally:
        server.kill()
        await server.communicate()
    assert store.conflicts == {"LockTimeoutError": 1}


TIMEOUTS = {
    "idle_in_transaction_session_timeout": "3s",
    "lock_timeout": "2s",
    "statement_timeout": "10s",
    "tcp_user_timeout": "4000",
    "tcp_keepalives_idle": "5",
    "client_connection_check_interval": "1s",
    "transaction_isolation": "read committed",
}


async def test_every_session_has_its_timeouts_whatever_the_database_says(store, observer):
    """They are shown as they are in force: PostgreSQL knows some over TCP alone."""
    database = await observer.fetchval("select quote_ident(current_database())")
    for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
        await observer.execute(f"alter database {database} set {name} = 0")
    isolation = f"alter database {database} set default_transaction_isolation"
    await observer.execute(f"{isolation} = 'serializable'")

    async def shown(session) -> dict[str, str]:
        return {name: await session.fetch_value(f"show {name}") for name in TIMEOUTS}

    try:
        used = await store.begin(LoadSet(ids=("x",)))
        in_batches = await shown(used._connection)
        await used.rollback()
        async with store._writers.connection() as session:
            in_writers = await shown(session)
        async with store._readers.connection() as session:
            in_readers = await shown(session)
    finally:
        await observer.execute(f"alter database {database} reset all")

    assert in_batches == in_writers == TIMEOUTS
    assert in_readers == {**TIMEOUTS, "transaction_isolation": "serializable"}


# C4: one clock, read after the locks


async def test_the_instant_is_not_before_the_branches_that_were_read(store, observer, monkeypatch):
    await create(store, make_remote_child("b", parent="b"), make_child("b.1", branch="b"))
    clock = "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint"
    members, read_at_ms = data_path._members, list[int]()

    async def read_later(*given):
        begun_at_ms = await observer.fetchval(clock)
        while await observer.fetchval(clock) == begun_at_ms:
            pass  # asking is all the waiting there is
        found = await members(*given)
        read_at_ms.append(found[1])
        return found

    monkeypatch.setattr(data_path, "_members", read_later)
    transaction = await store.begin(LoadSet(branches=("b",)))
    await transaction.rollback()

    assert ids_of(transaction.loaded.related) == ["b.1"]
    assert transaction.loaded.now_ms >= read_at_ms[0] > 0


# The preload is bounded

MEBIBYTE = 2**20


async def test_a_preload_ends_with_the_row_that_is_too_much(store):
    large = Value(data="x" * MEBIBYTE)
    rows_max = limits.PRELOAD_BYTES_MAX // MEBIBYTE
    for root in ("a", "b"):
        await create(store, make_remote_child(root, parent=root))
        for n in range(rows_max + 3):
            await create(store, make_child(f"{root}.{n}", branch=root, param=large))
    small = make_remote_child("c", parent="c"), make_child("c.1", branch="c")
    await create(store, *small)

    transaction = await store.begin(LoadSet(ids=("a", "b", "c"), preload=("a", "b", "c")))
    await transaction.rollback()

    # One more than fits, so that who cuts the answer sees that something is missing.
    expected = [f"{root}.{n}" for root in ("a", "b") for n in range(rows_max + 1)]
    assert sorted(ids_of(transaction.loaded.related)) == [*expected, "c.1"]


# What the database refuses


@pytest.mark.parametrize("text", ["\0", "\ud800"], ids=["nul", "surrogate"])
@pytest.mark.parametrize(
    "fields",
    [
        lambda text: {"param": Value(data=text)},
        lambda text: {"param": Value(headers={"k": text})},
        lambda text: {"tags": {text: "v"}},
    ],
    ids=["data", "header", "tag"],
)
async def test_what_cannot_be_stored_is_refused_alone(store, fields, text):
    with pytest.raises(RejectedError):
        await create(store, make_promise("p", **fields(text)))

    await create(store, make_promise("q"))
    assert await store.snapshot() == Snapshot(promises=(make_promise("q"),))


@pytest.mark.parametrize("data", ["x" * 1_000, "\U0001f600" * 250], ids=["letters", "wide"])
async def test_more_than_a_document_may_be_is_refused(store, monkeypatch, data):
    monkeypatch.setattr(transaction, "DOCUMENT_BYTES_MAX", 1_000)
    with pytest.raises(RejectedError, match="too many for one transaction"):
        await create(store, make_promise("p", param=Value(data=data)))

    await create(store, make_promise("q"))
    assert await store.snapshot() == Snapshot(promises=(make_promise("q"),))


def test_what_one_message_can_write_is_never_refused_for_its_size():
    of_a_character = len(msgspec.json.encode("\x01")) - len('""')

    assert limits.MESSAGE_BYTES_MAX * of_a_character < transaction.DOCUMENT_BYTES_MAX


async def test_a_database_that_takes_backslashes_for_escapes_changes_no_text(store, observer):
    database = await observer.fetchval("select quote_ident(current_database())")
    setting = f"alter database {database} set standard_conforming_strings"
    await observer.execute(f"{setting} = off")
    try:
        promise = make_promise("p", param=Value(data="\\' || now() || '\\"))
        await create(store, promise)
        assert await read(store, "p") == promise
    finally:
        await observer.execute(f"{setting} to default")


async def test_a_number_that_is_too_large_is_refused(store):
    with pytest.raises(RejectedError):
        await create(store, make_promise("p", timeout_at_ms=2**63))
    assert await store.snapshot() == Snapshot()


async def test_a_name_that_is_no_text_is_refused(store):
    with pytest.raises(RejectedError):
        await store.begin(LoadSet(ids=("\0",)))
    assert await read(store, "p") is None


async def test_an_update_of_what_is_not_there_is_our_own_mistake(store):
    await create(store, PENDING)
    transaction = await store.begin(LoadSet(ids=("x",)))
    transaction._stored["y"] = make_promise("y")

    with pytest.raises(RejectedError, match="a promise to update is not there"):
        await transaction.commit(Changes(updated=(ACQUIRED, make_promise("y"))))
    assert await read(store, "x") == PENDING


# Connections that break


async def test_after_a_lost_connection_the_next_transaction_has_a_new_one(store, observer):
    await create(store, PENDING)
    transaction = await store.begin(LoadSet(ids=("x",)))
    await observer.end_sessions()

    with pytest.raises(UnavailableError):
        await transaction.commit(Changes(updated=(ACQUIRED,)))

    assert await read(store, "x") == PENDING


async def test_a_connection_that_broke_between_transactions_costs_nothing(store, observer):
    await create(store, PENDING)
    await observer.end_sessions()

    assert await read(store, "x") == PENDING


async def test_a_rollback_that_is_given_up_breaks_its_session(store):
    transaction = await store.begin(LoadSet(ids=("x",)))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await transaction.rollback()

    assert transaction.is_over
    assert transaction._connection.is_closed
    assert await read(store, "x") is None


async def test_a_session_that_may_be_broken_is_not_asked_to_roll_back(store):
    transaction = await store.begin(LoadSet(ids=("x",)))

    await transaction._connection.roll_back(UnavailableError("it did not answer in time"))

    assert transaction._connection.is_closed


async def test_a_session_that_does_not_answer_to_a_rollback_is_broken(tables):
    impatient = await connection.connect(
        tables.url, settings.data_path(tables.namespace), answer_seconds_max=NO_SECONDS
    )

    await impatient.roll_back()

    assert impatient.is_closed


async def test_sessions_are_closed_although_nobody_says_farewell(store, monkeypatch):
    await create(store, PENDING)
    await store.due(1)
    monkeypatch.setattr(connection, "CLOSE_SECONDS_MAX", NO_SECONDS)

    await store.close()

    with pytest.raises(UnavailableError):
        await store.due(1)


async def test_a_read_that_takes_too_long_is_given_up(store, monkeypatch):
    monkeypatch.setattr(connection, "ANSWER_SECONDS_MAX", 0.5)

    with pytest.raises(UnavailableError, match="did not answer in time"):
        async with store._readers.connection() as session:
            await session.fetch("select pg_sleep(5)")


async def test_who_waits_too_long_for_a_session_gives_up(store, monkeypatch):
    async with AsyncExitStack() as stack, asyncio.timeout(FREED_SECONDS_MAX):
        for _ in range(READERS_MAX):
            await stack.enter_async_context(store._readers.connection())
        monkeypatch.setattr(connection, "ANSWER_SECONDS_MAX", 0)

        with pytest.raises(UnavailableError, match="did not answer in time"):
            await store.due(1)


async def test_what_changes_nothing_needs_no_commit(store, observer):
    await create(store, PENDING)
    transaction = await store.begin(LoadSet(ids=("x",)))
    await observer.end_sessions()

    await transaction.commit(Changes())

    assert transaction.is_over
    assert await read(store, "x") == PENDING


async def test_a_session_that_cannot_be_used_is_not_left_open(store, observer, monkeypatch):
    async def refuse(_: object) -> str:
        raise UnavailableError("permission denied (42501)")

    monkeypatch.setattr(fate, "read_home", refuse)
    with pytest.raises(UnavailableError, match="permission denied"):
        await store.begin(LoadSet())

    await observer.until_gone()


async def test_a_connection_that_is_refused_once_is_asked_for_again(store, monkeypatch):
    connect, refused = data_path.connect, list[str]()

    async def refuse_once(url, settings):
        if not refused:
            refused.append(url)
            raise UnavailableError("sorry, too many clients already (53300)")
        return await connect(url, settings)

    monkeypatch.setattr(data_path, "connect", refuse_once)
    await create(store, PENDING)

    assert len(refused) == 1
    assert await read(store, "x") == PENDING


async def test_a_cancelled_transaction_holds_nothing(store, other, observer):
    await create(store, PENDING)
    holder = await other.begin(LoadSet(ids=("x",)))

    async with asyncio.TaskGroup() as group:
        begun = group.create_task(store.begin(LoadSet(ids=("x",))))
        await observer.until_blocked()
        begun.cancel()
    await holder.rollback()

    async with asyncio.timeout(AT_ONCE_SECONDS_MAX):
        assert await read(other, "x") == PENDING
        assert await read(store, "x") == PENDING


@pytest.mark.parametrize("call", ["begin", "due", "search"])
async def test_without_a_database_a_call_says_so_at_once(call):
    store = PostgresStore("postgresql://nobody@127.0.0.1:1/nothing", "n")
    calls: dict[str, Any] = {
        "begin": lambda: store.begin(LoadSet()),
        "due": lambda: store.due(1),
        "search": lambda: store.search({}, None, 1),
    }

    async with asyncio.timeout(AT_ONCE_SECONDS_MAX):
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await calls[call]()
    await store.close()
