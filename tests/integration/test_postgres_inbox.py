"""`submit` in the transactions of applications, and what a server makes of what it leaves."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import (
    HealthCheck,
    example,
    given,
    settings as hypothesis_settings,
    strategies as st,
)

from resonate_broker.background.inbox import drain_inbox, take
from resonate_sdk.client.roots import root_request
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.functions.call_envelope import CallEnvelope, decode_call, encode_call
from resonate_sdk.options import make_options
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.envelope import normalize
from resonate_sdk.protocol.requests import PromiseCreate, create_fault
from resonate_store.postgres import PostgresStore, settings
from resonate_store.postgres.migrate import migrate
from resonate_store.state import Changes, InboxRefusal, LoadSet, Promise
from tests.contract.rows import make_promise
from tests.contract.server import Server
from tests.integration.conftest import Observer, Tables

WAIT_SECONDS_MAX = 10
CALL = {"id": "order-1", "func": "charge", "target": "payments"}
Session = asyncpg.Connection


def path_to(tables: Tables) -> dict[str, str]:
    return {"search_path": settings.quoted(tables.namespace)}


@pytest.fixture(scope="module")
def shared_tables(module_database: str) -> Tables:
    """For tests that leave nothing behind."""
    asyncio.run(migrate(module_database, "shared"))
    return Tables(module_database, "shared")


@pytest.fixture(scope="module")
def shared_session(shared_tables: Tables) -> Generator[tuple[asyncio.AbstractEventLoop, Session]]:
    """A session and its loop, for tests that are no coroutines."""
    with asyncio.Runner() as runner:
        path = path_to(shared_tables)
        session = runner.run(asyncpg.connect(shared_tables.url, server_settings=path))
        yield runner.get_loop(), session
        runner.run(session.close())


@pytest.fixture
async def connect(tables: Tables) -> AsyncGenerator[Callable[..., Any]]:
    """Open the session of an application."""
    opened: list[Session] = []

    async def open_session(**server_settings: str) -> Session:
        session = await asyncpg.connect(
            tables.url, server_settings={**path_to(tables), **server_settings}
        )
        opened.append(session)
        return session

    yield open_session
    for session in opened:
        await session.close()


@pytest.fixture
async def application(connect) -> Session:
    return await connect()


async def submit(session: Session, **arguments: Any) -> bool:
    given = CALL | arguments
    if "args" in given:
        given["args"] = json.dumps(given["args"])
    if given.get("tags") is not None:
        given["tags"] = json.dumps(given["tags"])
    names = ", ".join(f"{name} => ${number}" for number, name in enumerate(given, start=1))
    return await session.fetchval(f"select submit({names})", *given.values())


async def instant(session: Session) -> int:
    """What the clock of the database shows, in whole milliseconds that have passed."""
    return await session.fetchval(
        "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint"
    )


async def drain(*stores: PostgresStore) -> None:
    """Let a server of each store take what is there, one after the other."""
    for store in stores:
        server = Server(store, 1_000)
        server.checked.is_internal = False
        server.system.run_once(drain_inbox)
        await server.run()


async def promises(store: PostgresStore) -> list[Promise]:
    return list((await store.snapshot()).promises)


async def rows_in_inbox(observer: Observer) -> int:
    return await observer.fetchval("select count(*) from inbox")


# What it makes


UNUSUAL = ["für \U0001f600", 1.5, True, {"a": [10**30]}]
ARGUMENTS: tuple[tuple[Any, list[Any], dict[str, Any]], ...] = (
    (["teapot", 2], ["teapot", 2], {}),
    ({"item": "teapot", "count": 2}, [], {"item": "teapot", "count": 2}),
    ("teapot", ["teapot"], {}),
    (None, [None], {}),
    ([], [], {}),
    (UNUSUAL, UNUSUAL, {}),
)


async def test_it_is_the_promise_that_a_remote_call_of_the_sdk_makes(application, store):
    codec, hour = Codec(), timedelta(hours=1)
    wanted: dict[str, PromiseCreate] = {}
    for number, (args, position, name) in enumerate(ARGUMENTS):
        id, target = f"order-{number}", "poll://any@payments/pid-1" if number % 2 else "payments"
        given = make_options(target=target, timeout=hour, tags={"tenant": "7", tags.PRIORITY: "3"})
        wanted[id] = root_request(
            id,
            encode_call(codec, "charge", 2, position, name),
            tags.function("charge", 2),
            given,
            default_target="",
            now_ms=await instant(application),
        )
        own = {"args": args, "version": 2, "tags": dict(given.tags or {})}
        assert await submit(application, id=id, target=target, timeout=hour, **own)

    await drain(store)

    made = {promise.id: promise for promise in await promises(store)}
    assert made.keys() == wanted.keys()
    for (_, position, name), (id, create) in zip(ARGUMENTS, wanted.items(), strict=True):
        call = decode_call(codec, made[id].param)
        assert call == CallEnvelope(func="charge", args=position, kwargs=name, version=2)
        assert made[id].param.headers == create.param.headers
        stored = normalize(create)
        assert isinstance(stored, PromiseCreate)
        assert made[id].tags == stored.tags
        assert 0 <= made[id].timeout_at_ms - create.timeout_at_ms < 60_000
        task, timer_at_ms = made[id].task, made[id].timer_at_ms
        assert task is not None
        assert (made[id].state, task.state, task.version) == ("pending", "pending", 0)
        assert timer_at_ms is not None
        assert timer_at_ms <= made[id].timeout_at_ms


async def test_what_is_not_given_is_a_call_without_arguments_that_has_a_year(application, store):
    assert await submit(application)

    await drain(store)

    (made,) = await promises(store)
    assert decode_call(Codec(), made.param) == CallEnvelope(func="charge")
    years = (made.timeout_at_ms - await instant(application)) / (365.25 * 86_400_000)
    assert 0.99 < years < 1.01


async def test_a_deadline_counts_from_the_call_however_late_it_is_taken(application, store):
    await submit(application, timeout=timedelta(milliseconds=1))

    await application.execute("select pg_sleep(0.002)")
    server = Server(store, 1_000)
    server.clock.now_ms = await instant(application)
    server.system.run_once(drain_inbox)
    await server.run()

    (made,) = await promises(store)
    assert made.state == "rejected_timedout"
    assert made.settled_at_ms == made.timeout_at_ms


# If and only if the transaction commits


async def test_nothing_is_there_before_the_commit_and_all_after_it(application, store, observer):
    transaction = application.transaction()
    await transaction.start()
    assert await submit(application)
    await drain(store)
    before = await promises(store)
    await transaction.commit()
    await drain(store)

    assert before == []
    assert [promise.id for promise in await promises(store)] == ["order-1"]
    assert await rows_in_inbox(observer) == 0


async def test_what_is_rolled_back_was_never_there(application, store, observer):
    transaction = application.transaction()
    await transaction.start()
    await submit(application)
    await transaction.rollback()
    await drain(store)

    assert await promises(store) == []
    assert await rows_in_inbox(observer) == 0


async def test_a_savepoint_takes_back_what_came_after_it(application, store):
    async with application.transaction():
        await submit(application, id="kept")
        savepoint = application.transaction()
        await savepoint.start()
        await submit(application, id="taken back")
        await savepoint.rollback()
        assert await submit(application, id="kept too")
        assert await submit(application, id="taken back", func="other")
        await application.execute("delete from inbox where id = 'taken back'")
    await drain(store)

    assert [promise.id for promise in await promises(store)] == ["kept", "kept too"]


async def test_who_dies_in_the_middle_of_a_transaction_has_submitted_nothing(connect, store):
    session = await connect()
    await session.execute("begin")
    await submit(session)
    session.terminate()
    await drain(store)

    assert await promises(store) == []


async def test_an_open_transaction_stops_nobody(connect, application, store):
    await application.execute("begin")
    await submit(application)

    other = await connect()
    assert await submit(other)  # it cannot know
    await drain(store)
    made = await promises(store)
    await application.execute("commit")
    await drain(store)

    assert [promise.id for promise in made] == ["order-1"]
    assert await promises(store) == made


# The same again


async def test_the_same_again_is_harmless_and_says_so(application, store):
    async with application.transaction():
        assert [await submit(application), await submit(application)] == [True, False]
    waiting = await submit(application)
    await drain(store)
    (made,) = await promises(store)
    taken = await submit(application, version=2, args=["other"])
    await drain(store)

    assert (waiting, taken) == (False, False)
    assert await promises(store) == [made]


async def test_transactions_that_must_not_see_each_other_are_both_let_through(connect, store):
    sessions = [await connect(default_transaction_isolation="serializable") for _ in range(2)]
    for session in sessions:
        await session.execute("begin")
    news = [await submit(s, id=f"order-{number}") for number, s in enumerate(sessions)]
    for session in sessions:
        await session.execute("commit")
    await drain(store)

    assert news == [True, True]
    assert [promise.id for promise in await promises(store)] == ["order-0", "order-1"]


@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "waiting"])
async def test_an_id_of_another_call_is_refused(application, store, is_taken):
    await submit(application)
    if is_taken:
        await drain(store)

    with pytest.raises(asyncpg.UniqueViolationError, match="belongs to another call than one of"):
        await submit(application, func="refund")


async def test_the_id_of_a_promise_that_is_no_call_is_refused(application, store):
    transaction = await store.begin(LoadSet(ids=("order-1",)))
    await transaction.commit(Changes(created=(make_promise("order-1"),)))

    with pytest.raises(asyncpg.UniqueViolationError):
        await submit(application)


async def test_a_long_name_is_cut_alike(application, store):
    func = "module." + "f" * 300
    assert await submit(application, func=func)
    await drain(store)

    assert not await submit(application, func=func)


# What is refused


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"id": None}, asyncpg.NullValueNotAllowedError, "found a null"),
        ({"timeout": None}, asyncpg.NullValueNotAllowedError, "found a null"),
        ({"id": ""}, asyncpg.InvalidParameterValueError, "found an empty one"),
        ({"func": ""}, asyncpg.InvalidParameterValueError, "found an empty one"),
        ({"id": "é" * 513}, asyncpg.ProgramLimitExceededError, "1026 bytes, the limit is 1024"),
        ({"tags": {tags.PRIORITY: "10"}}, asyncpg.InvalidParameterValueError, "0 to 9.*'10'"),
        ({"tags": {tags.PRIORITY: "5\n"}}, asyncpg.InvalidParameterValueError, "0 to 9"),
        ({"version": 0}, asyncpg.InvalidParameterValueError, "1 or more, found 0"),
        ({"target": "a b"}, asyncpg.InvalidParameterValueError, "'?a b'? is no address"),
        (
            {"target": "amqp-exchange://e/" + "k" * 256},
            asyncpg.ProgramLimitExceededError,
            "more than 255 bytes",
        ),
        ({"timeout": timedelta(0)}, asyncpg.InvalidParameterValueError, "a timeout is positive"),
        ({"timeout": timedelta(-1)}, asyncpg.InvalidParameterValueError, "a timeout is positive"),
        ({"args": "x" * 800_000}, asyncpg.ProgramLimitExceededError, "the limit is 1048576"),
        ({"tags": ["a"]}, asyncpg.InvalidParameterValueError, "object of texts, found a JSON arr"),
        ({"tags": {"a": 1}}, asyncpg.InvalidParameterValueError, "'a' is a text, found a JSON num"),
        ({"tags": {tags.ORIGIN: "x"}}, asyncpg.InvalidParameterValueError, "are reserved"),
        ({"tags": {"k" * 129: ""}}, asyncpg.ProgramLimitExceededError, "limit is 128"),
        ({"tags": {"k": "v" * 1025}}, asyncpg.ProgramLimitExceededError, "limit is 1024"),
        (
            {"tags": {f"{n}": "" for n in range(58)}},
            asyncpg.ProgramLimitExceededError,
            "65 tags, the limit is 64",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_what_no_other_door_lets_in_is_refused_at_once(
    shared_tables, arguments, error, words
):
    session = await asyncpg.connect(shared_tables.url, server_settings=path_to(shared_tables))
    with pytest.raises(error, match=words):
        await submit(session, **arguments)
    await session.close()


ALPHABET = "aZ09_-:/@.%2Fé é"
TARGETS = st.one_of(
    st.text(ALPHABET, max_size=70),
    st.builds(
        "".join,
        st.tuples(
            st.sampled_from(["amqp://", "poll://", "amqp-exchange://", "celery://", "http://", ""]),
            st.sampled_from(["any@", "uni@", "@", ""]),
            st.text(ALPHABET, max_size=66),
            st.sampled_from(["", "/", "/p", "/" + "p" * 65, "\n"]),
        ),
    ),
)


@hypothesis_settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(target=TARGETS)
@example("celery://")
@example("celery:///")
@example("celery://queue")
@example("celery://a/b%2F/key")
@example("celery://exchange/" + "k" * 256)
def test_targets_are_those_of_the_servers(shared_session, target: str):
    loop, session = shared_session
    create = PromiseCreate(id="i", timeout_at_ms=1 << 50, tags={tags.TARGET: target})

    async def is_accepted() -> bool:
        attempt = session.transaction()
        await attempt.start()
        try:
            return await submit(session, target=target)
        except (asyncpg.InvalidParameterValueError, asyncpg.ProgramLimitExceededError):
            return False
        finally:
            await attempt.rollback()

    assert loop.run_until_complete(is_accepted()) == (create_fault(create, acquire=False) is None)


async def test_a_row_of_which_no_promise_can_be_made_stays_and_holds_up_nobody(
    application, store, observer, caplog
):
    await observer.execute(
        "insert into inbox (id, timeout_at, tags, param_data)"
        """ values ('wrong', 1, '{"resonate:target": "not a group"}', '')"""
    )
    await submit(application)

    await drain(store, store)

    assert [promise.id for promise in await promises(store)] == ["order-1"]
    (reason,) = [row["refused"] for row in await observer.fetch("select refused from inbox")]
    assert "'not a group' is no address" in reason
    assert caplog.text.count("call in the inbox refused") == 1


# Several servers


async def test_of_two_servers_one_takes_a_row_and_nobody_waits(application, store, other):
    await submit(application)
    (entry,) = await store.inbox(10)

    holding = await store.begin(LoadSet(inbox=(entry.number,)))
    passing = await other.begin(LoadSet(inbox=(entry.number,)))

    assert [row.id for row in holding.loaded.inbox] == ["order-1"]
    assert passing.loaded.inbox == ()
    await passing.rollback()
    await holding.commit(Changes(inbox_taken=(entry.number,)))
    assert await store.inbox(10) == ()


async def test_a_candidate_that_another_server_has_taken_is_not_made_again(
    application, store, other, observer
):
    """The promise is gone again by then, as after retention."""
    await submit(application)
    (entry,) = await store.inbox(10)
    await drain(other)
    await observer.execute("truncate promises, timers")
    taken: list[int] = []

    server = Server(store, 1_000)
    server.system.run_once(lambda: take(entry, taken))
    await server.run()

    assert await promises(store) == []
    assert taken == []


async def test_what_a_server_held_when_it_died_is_taken_by_another(
    application, store, other, observer
):
    await submit(application)
    (entry,) = await store.inbox(10)
    transaction = await store.begin(LoadSet(ids=("order-1",), inbox=(entry.number,)))
    await drain(other)
    held = await promises(other)
    await observer.end_sessions()

    await drain(other)

    assert transaction.loaded.inbox != ()
    assert held == []
    assert [promise.id for promise in await promises(other)] == ["order-1"]


async def test_a_run_takes_no_more_than_a_message_may_bring(application, store):
    large = "x" * 700_000
    async with application.transaction():
        for number in range(8):
            await submit(application, id=f"{number}", args=large)

    entries = await store.inbox(200)
    await drain(store)

    size = len(json.dumps(large)) * 4 // 3
    assert len(entries) == limits.MESSAGE_BYTES_MAX // size + 1
    assert [entry.id for entry in await store.inbox(200)] == ["5", "6", "7"]


async def test_refusals_and_removals_are_one_transaction_with_the_rest(application, store):
    await submit(application, id="a")
    await submit(application, id="b")
    numbers = [entry.number for entry in await store.inbox(10)]

    transaction = await store.begin(LoadSet(inbox=tuple(numbers)))
    refusals = (InboxRefusal(numbers[1], "wrong"),)
    await transaction.commit(Changes(inbox_taken=(numbers[0],), inbox_refused=refusals))
    late = await store.begin(LoadSet(inbox=tuple(numbers)))
    await late.rollback()

    assert await store.inbox(10) == ()
    assert late.loaded.inbox == ()  # for whoever has learned their numbers before


# Notices


async def test_a_commit_is_noticed_at_once_and_once(application, store):
    notices: asyncio.Queue[None] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(WAIT_SECONDS_MAX):
        listening = tasks.create_task(store.listen(lambda: notices.put_nowait(None)))
        await notices.get()  # it listens now

        async with application.transaction():
            await submit(application, id="a")
            await submit(application, id="b")
        await notices.get()
        await submit(application, id="c")
        await notices.get()
        listening.cancel()

    assert notices.empty()


async def test_a_lost_connection_for_notices_is_replaced(application, store, observer):
    notices: asyncio.Queue[None] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(WAIT_SECONDS_MAX):
        listening = tasks.create_task(store.listen(lambda: notices.put_nowait(None)))
        await notices.get()
        await observer.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name like 'resonate % notices' and datname = current_database()"
        )

        await notices.get()  # it listens again, and has missed nothing
        await submit(application)
        await notices.get()
        listening.cancel()


# The role


@pytest.fixture
async def shop(connect, tables) -> Session:
    """A session that has the role for applications, and nothing else."""
    session = await connect()
    await session.execute(f'set role "{tables.namespace}_submit"')
    return session


async def test_the_role_may_submit(shop, store):
    assert await submit(shop)
    await drain(store)

    assert [promise.id for promise in await promises(store)] == ["order-1"]


FORBIDDEN = (
    "select id from promises",
    "select id from inbox",
    "insert into inbox (id, timeout_at, tags, param_data) values ('x', 1, '{}', '')",
    "delete from inbox",
    "update promises set state = 'resolved'",
    "select secret from secrets",
    "select * from load_v1(array['order-1'], null, null, 1, 1, 1)",
    "select remove_tree_v1('order-1', 1, 1)",
    "truncate promises",
    "create table mine (n integer)",
    "select name from schema_versions",
)


async def test_the_role_may_do_nothing_else(shop):
    await submit(shop)

    for statement in FORBIDDEN:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await shop.fetch(statement)


async def test_tables_and_functions_of_the_caller_are_not_those_that_are_used(shop, store):
    await shop.execute("create temporary table inbox (n integer)")
    await shop.execute("create temporary table promises (n integer)")
    await shop.execute("set search_path = pg_temp, public")

    namespace = await shop.fetchval("select rtrim(current_user, 'submit')")
    statement = (
        f"""select "{namespace.removesuffix("_")}".submit('order-1', 'charge', 'payments')"""
    )
    assert await shop.fetchval(statement)
    await drain(store)

    assert [promise.id for promise in await promises(store)] == ["order-1"]


async def test_nobody_else_may_submit(connect, observer, tables):
    await observer.execute(f'create role "{tables.namespace}-nobody"')
    session = await connect()
    await observer.execute(
        f'grant usage on schema "{tables.namespace}" to "{tables.namespace}-nobody"'
    )
    await session.execute(f'set role "{tables.namespace}-nobody"')

    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await submit(session)
    finally:
        await observer.execute(f'drop owned by "{tables.namespace}-nobody"')
        await observer.execute(f'drop role "{tables.namespace}-nobody"')
