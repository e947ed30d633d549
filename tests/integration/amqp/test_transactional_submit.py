"""An application starts executions in transactions of its own, with psycopg; our servers take them."""

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Generator

import psycopg
import pytest
from psycopg.types.json import Jsonb

from resonate_broker.config import Config
from resonate_sdk import Context, Resonate
from tests.integration.amqp.foreign import ForeignClient
from tests.integration.amqp.rows import Rows
from tests.integration.amqp.server import Gate, ServerThread

GROUP = "payments"
SECONDS_MAX = 20
Start = Callable[[], ServerThread]


class Journal:
    """What has been charged, and when."""

    def __init__(self) -> None:
        self.at_s: dict[str, float] = {}
        self.ids: list[str] = []
        self._changed = threading.Condition()

    def note(self, id: str) -> None:
        with self._changed:
            self.at_s[id] = time.monotonic()
            self.ids.append(id)
            self._changed.notify_all()

    def wait_for(self, *ids: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: set(ids) <= self.at_s.keys(), SECONDS_MAX), ids


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def worker(config: Config, journal: Journal) -> Generator[Resonate]:
    """Serves `charge`, when it is started."""
    with Resonate.remote(config.url, namespace=config.namespace, group=GROUP) as resonate:

        def charge(ctx: Context, item: str, cents: int = 1) -> str:
            journal.note(ctx.id)
            return f"{cents} cents for one {item}"

        resonate.register(charge)
        yield resonate


class Shop:
    """An application with a table of its own, which knows psycopg and one function of ours."""

    def __init__(self, config: Config) -> None:
        self._submit = f"""
            select "{config.namespace}".submit(%s, 'charge', %s, %s, timeout => '1 hour')
        """.encode()
        self.connection = psycopg.connect(config.database_url, autocommit=True)
        self.connection.execute("create table if not exists orders (id text primary key)")

    def order(self, id: str) -> bool:
        self.connection.execute("insert into orders values (%s)", (id,))
        row = self.connection.execute(self._submit, (id, GROUP, Jsonb({"item": "pot"}))).fetchone()
        assert row is not None
        return row[0]

    def orders(self) -> list[str]:
        return [id for (id,) in self.connection.execute("select id from orders order by id")]


@pytest.fixture
def shop(config: Config) -> Generator[Shop]:
    shop = Shop(config)
    yield shop
    shop.connection.execute("drop table orders")
    shop.connection.close()


def test_an_order_and_its_execution_are_there_together_or_not_at_all(
    server: ServerThread, worker: Resonate, shop: Shop, journal: Journal
):
    worker.start()
    with shop.connection.transaction():
        assert shop.order("order-1")
        with shop.connection.transaction():
            shop.order("order-2")
            raise psycopg.Rollback
        with pytest.raises(psycopg.errors.UniqueViolation), shop.connection.transaction():
            shop.order("order-1")
    with shop.connection.transaction():
        shop.order("order-3")
        raise psycopg.Rollback
    with shop.connection.transaction():
        shop.order("order-4")

    results = [worker.get(id).result(SECONDS_MAX) for id in ("order-1", "order-4")]

    assert results == ["1 cents for one pot"] * 2
    assert sorted(journal.ids) == shop.orders() == ["order-1", "order-4"]


def test_the_execution_is_that_of_a_call_by_the_sdk(
    server: ServerThread, worker: Resonate, shop: Shop, journal: Journal
):
    worker.start()
    shop.order("order-1")

    again = worker.options(target=GROUP).rpc("order-1", "charge", item="pot")

    assert again == "1 cents for one pot"
    assert journal.ids == ["order-1"]


def test_it_runs_within_milliseconds_of_the_commit(
    server: ServerThread, worker: Resonate, shop: Shop, journal: Journal, record_property
):
    worker.start()
    shop.order("warm")
    journal.wait_for("warm")

    took_ms: list[float] = []
    for number in range(15):
        id = f"order-{number:02}"
        began_s = time.monotonic()
        shop.order(id)
        journal.wait_for(id)
        took_ms.append((journal.at_s[id] - began_s) * 1_000)

    record_property("p50_ms", statistics.median(took_ms))
    assert statistics.median(took_ms) < 300, took_ms  # the sweep alone would take 500


async def test_what_nobody_was_told_of_is_found_all_the_same(
    server: ServerThread, worker: Resonate, shop: Shop, journal: Journal, rows: Rows
):
    """As if the notice had been lost: the row is there, and no notice ever was."""
    worker.start()
    shop.order("order-1")
    await asyncio.to_thread(journal.wait_for, "order-1")

    await rows.execute(
        "insert into inbox (id, timeout_at, tags, param_data)"
        " select 'order-2', timeout_at, tags, param_data from promises where id = 'order-1'"
    )

    await asyncio.to_thread(journal.wait_for, "order-2")


def test_what_is_committed_while_no_server_runs_is_taken_when_one_comes(
    start_server: Start, worker: Resonate, shop: Shop, journal: Journal
):
    first = start_server()
    worker.start()
    shop.order("order-1")
    journal.wait_for("order-1")
    first.stop()
    shop.order("order-2")
    shop.order("order-3")

    start_server()

    journal.wait_for("order-2", "order-3")
    assert sorted(journal.ids) == shop.orders()


async def _wait_for_hints(client: ForeignClient, count: int) -> int:
    """Hints in the queue of the group, when there are so many of them."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            name = client.names.task_queue(GROUP)
            queue = await client.channel.declare_queue(name, passive=True)
            found = queue.declaration_result.message_count or 0
            if found >= count:
                return found


async def test_of_two_servers_one_sends_each_hint(
    start_server: Start, shop: Shop, client: ForeignClient, rows: Rows
):
    start_server()  # beside the one of the client
    count = 60
    for number in range(count):
        shop.order(f"order-{number:02}")
    await rows.until("select count(*) from promises where hint_at is not null", equals=count)

    assert await _wait_for_hints(client, count) == count
    assert await rows.fetchval("select max(attempts) from promises") == 1


async def test_what_a_server_has_taken_in_hand_when_it_freezes_is_taken_by_another(
    start_server: Start, worker: Resonate, shop: Shop, journal: Journal, rows: Rows
):
    """It has locked the row, and never commits: the database ends its session after 3 s."""
    frozen = start_server()
    gate = Gate(frozen, frozen.server._aio._store, "write")
    shop.order("order-1")
    assert await asyncio.to_thread(gate.is_reached.wait, SECONDS_MAX)
    assert await rows.fetchval("select count(*) from promises") == 0
    start_server()

    await rows.until_exists("order-1")
    gate.open()
    worker.start()

    result = await asyncio.to_thread(lambda: worker.get("order-1").result(SECONDS_MAX))
    assert result == "1 cents for one pot"
    assert gate.is_passed.is_set()
    assert journal.ids == ["order-1"]
