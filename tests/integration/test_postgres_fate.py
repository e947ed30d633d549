"""C5: the answer to a COMMIT is lost; only the database knows what became of it."""

import asyncio
from functools import partial

import pytest

from resonate_store.postgres import PostgresStore, data_path, fate, settings
from resonate_store.postgres.connection import connect
from resonate_store.postgres.migrate import migrate
from resonate_store.state import Changes, LoadSet, Use
from resonate_store.store import FateUnknownError, UnavailableError
from tests.contract.rows import create, make_promise, read
from tests.integration.lossy_proxy import LossyProxy

PROMISE = make_promise("p")
# The first travels with its commit, the second before it.
CHANGES = {
    "a promise": Changes(created=(PROMISE,)),
    "more": Changes(created=(PROMISE,), uses_added=(Use("p", "q"),)),
}
OLDEST_XID = 3  # of the bootstrap: its status is long forgotten
FUTURE_XID = 2**60 + OLDEST_XID
RESTART_SECONDS_MAX = 30


@pytest.fixture
async def proxy(tables):
    async with LossyProxy(tables.url) as proxy:
        yield proxy


@pytest.fixture
async def distant(proxy, tables):
    """A server with a bad connection."""
    store = PostgresStore(proxy.url, tables.namespace)
    yield store
    await store.close()


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
async def test_a_commit_whose_answer_was_lost_has_been_carried_out(distant, proxy, store, changes):
    transaction = await distant.begin(LoadSet(ids=("p",)))
    proxy.loses = "the answer"
    await transaction.commit(changes)

    assert await read(store, "p") == PROMISE
    assert await read(distant, "p") == PROMISE


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
async def test_a_commit_that_never_arrived_has_not_been_carried_out(distant, proxy, store, changes):
    transaction = await distant.begin(LoadSet(ids=("p",)))
    proxy.loses = "the request"
    with pytest.raises(UnavailableError):
        await transaction.commit(changes)

    assert await read(store, "p") is None
    assert await read(distant, "p") is None


async def test_a_commit_that_is_not_answered_has_been_carried_out(
    distant, proxy, store, monkeypatch
):
    """The session still seems to be in the transaction, which is not what the database knows."""
    impatient = partial(connect, answer_seconds_max=1)
    monkeypatch.setattr(data_path, "connect", impatient)
    transaction = await distant.begin(LoadSet(ids=("p",)))
    proxy.loses = "silence"
    await transaction.commit(Changes(created=(PROMISE,)))

    assert await read(store, "p") == PROMISE
    assert await read(distant, "p") == PROMISE


async def test_a_commit_that_is_given_up_leaves_its_session_to_nobody(distant, proxy, store):
    transaction = await distant.begin(LoadSet(ids=("p",)))
    proxy.loses = "silence"
    async with asyncio.TaskGroup() as group:
        committing = group.create_task(transaction.commit(Changes(created=(PROMISE,))))
        while await read(store, "p") is None:
            pass  # asking is all the waiting there is
        committing.cancel()

    assert transaction.is_over
    assert await read(distant, "p") == PROMISE


async def test_a_commit_that_the_database_refuses_has_not_been_carried_out(store, observer):
    """What was written was in order; what a trigger of others says comes with the commit."""
    await observer.execute(
        "create function refuse() returns trigger language plpgsql as"
        " $$ begin raise 'not today'; end $$;"
        "create constraint trigger refuse after insert on promises deferrable initially deferred"
        " for each row execute function refuse()"
    )
    transaction = await store.begin(LoadSet(ids=("p",)))
    with pytest.raises(UnavailableError, match="it was not committed: not today"):
        await transaction.commit(Changes(created=(PROMISE,)))
    await observer.execute("drop trigger refuse on promises")

    assert await read(store, "p") is None
    await create(store, PROMISE)
    assert await read(store, "p") == PROMISE


async def test_who_has_written_nothing_need_not_ask(store, observer, monkeypatch):
    """His session ended before: that is known without a minute of asking."""
    monkeypatch.setattr(fate, "was_committed", None)
    transaction = await store.begin(LoadSet(ids=("p",)))
    await observer.end_sessions()
    while not transaction._connection.is_closed:
        await observer.fetch("select")  # which takes a moment

    with pytest.raises(UnavailableError, match="before anything was written"):
        await transaction.commit(Changes(created=(PROMISE,)))


async def test_a_session_that_hangs_in_its_commit_is_ended(distant, proxy, store, monkeypatch):
    monkeypatch.setattr(fate, "PATIENCE_SECONDS", 0)

    transaction = await distant.begin(LoadSet(ids=("p",)))
    proxy.loses = "the client"
    async with asyncio.timeout(2):  # before the server ends it by itself
        with pytest.raises(UnavailableError):
            await transaction.commit(Changes(created=(PROMISE,)))

    assert await read(store, "p") is None


async def test_a_crash_of_the_database_does_not_hide_what_was_committed(
    private_postgres, namespace
):
    await migrate(private_postgres.url, namespace)
    async with LossyProxy(private_postgres.url) as proxy:
        store = PostgresStore(proxy.url, namespace)
        transaction = await store.begin(LoadSet(ids=("p",)))
        proxy.loses = "the answer"

        lost = asyncio.Event()

        def crash() -> None:
            private_postgres.kill()
            lost.set()

        proxy.on_loss = crash
        async with asyncio.timeout(RESTART_SECONDS_MAX), asyncio.TaskGroup() as group:
            group.create_task(transaction.commit(Changes(created=(PROMISE,))))
            await lost.wait()
            await asyncio.to_thread(private_postgres.start)

        assert await read(store, "p") == PROMISE
        await store.close()


async def read_home(tables) -> str:
    connection = await connect(tables.url, settings.reads(tables.namespace))
    try:
        return await fate.read_home(connection)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("xid", "reason"),
    [(OLDEST_XID, "too old to be known"), (FUTURE_XID, "is in the future")],
    ids=["forgotten", "of the future"],
)
async def test_what_the_database_cannot_know_stays_unknown(tables, xid, reason):
    identity = fate.Identity(xid, await read_home(tables))

    with pytest.raises(FateUnknownError, match=reason):
        await fate.was_committed(tables.url, settings.reads(tables.namespace), identity)


async def test_in_another_cluster_the_same_number_means_nothing(tables):
    identity = fate.Identity(OLDEST_XID, "7/00000001")

    with pytest.raises(FateUnknownError, match="the database is now"):
        await fate.was_committed(tables.url, settings.reads(tables.namespace), identity)


async def test_a_database_that_stays_away_leaves_the_fate_unknown(tables, monkeypatch):
    monkeypatch.setattr(fate, "FATE_SECONDS_MAX", 0)
    identity = fate.Identity(OLDEST_XID, await read_home(tables))
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"

    with pytest.raises(FateUnknownError, match="nobody could say"):
        await fate.was_committed(nowhere, settings.reads(tables.namespace), identity)
