"""What happens is told to whoever binds a queue, at least once, and in order per origin."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from msgspec.structs import replace
from pika.adapters.blocking_connection import BlockingChannel

from resonate_broker.config import Config, EventsConfig
from resonate_sdk import Context, Resonate, Workflow
from resonate_sdk.protocol.topology import Names
from resonate_store.store import EventClaim, UnavailableError
from tests.integration.amqp.plain.conftest import GROUP
from tests.integration.amqp.rows import Rows
from tests.integration.amqp.server import ServerThread

SECONDS_MAX = 20
CE = "cloudEvents:"


@pytest.fixture
def config(config: Config) -> Config:
    """Of servers with the tap on."""
    return replace(config, events=EventsConfig(enabled=True, log_days=1))


@pytest.fixture
def queue(server: ServerThread, channel: BlockingChannel, names: Names) -> str:
    """Somebody else's, bound to all that is told."""
    name: str = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(name, names.events, "#")
    return name


@pytest.fixture
def client(config: Config, server: ServerThread) -> Generator[Resonate]:
    with Resonate.remote(config.url, namespace=config.namespace) as client:
        yield client


def until(channel: BlockingChannel, queue: str, kind: str, subject: str) -> list[Any]:
    """All events up to that one: their properties."""
    found: list[Any] = []
    for _, properties, _ in channel.consume(queue, auto_ack=True, inactivity_timeout=SECONDS_MAX):
        assert properties is not None, f"no {kind} of {subject} among {[p.type for p in found]}"
        found.append(properties)
        headers: Any = properties.headers
        if (properties.type, headers[CE + "subject"]) == (kind, subject):
            break
    channel.cancel()
    return found


def sequences(events: Sequence[Any]) -> dict[str, list[int]]:
    """The numbers of the events, by origin."""
    by_origin = defaultdict[str, list[int]](list)
    for properties in events:
        by_origin[properties.headers[CE + "partitionkey"]].append(
            int(properties.headers[CE + "sequence"])
        )
    return dict(by_origin)


def test_the_life_of_an_execution_is_told_as_cloudevents(
    worker: Resonate, channel: BlockingChannel, queue: str, config: Config, names: Names
):
    assert worker.options(target=GROUP).rpc("order-1", "price", "pot") == 3

    events = until(channel, queue, "resonate.task.fulfilled", "order-1")

    assert [event.type for event in events] == [
        "resonate.promise.created",
        "resonate.task.created",
        "resonate.task.acquired",
        "resonate.promise.resolved",
        "resonate.task.fulfilled",
    ]
    headers = events[3].headers
    assert headers[CE + "specversion"] == "1.0"
    assert headers[CE + "source"] == f"/resonate/{config.namespace}"
    assert (headers[CE + "subject"], headers[CE + "type"]) == ("order-1", events[3].type)
    assert headers[CE + "time"].endswith("Z")
    assert events[3].content_type == "application/json"
    assert sequences(events) == {"order-1": [1, 2, 3, 4, 5]}
    assert len({event.headers[CE + "id"] for event in events}) == 5


def test_a_consumer_of_kombu_binds_to_what_it_wants(worker: Resonate, config: Config, names: Names):
    taken = list[tuple[str, Any]]()

    def on_message(body: Any, message: Any) -> None:
        taken.append((message.delivery_info["routing_key"], body))
        message.ack()

    with Connection(config.url) as connection:
        exchange = Exchange(names.events, type="topic", passive=True)
        key = f"promise.resolved.{GROUP}"
        queue = Queue("", exchange, routing_key=key, exclusive=True)
        with connection.Consumer([queue], callbacks=[on_message]):
            worker.options(target=GROUP).rpc("order-1", "price", "pot")
            connection.drain_events(timeout=SECONDS_MAX)

    ((found, body),) = taken
    assert found == key
    assert (body["id"], body["state"]) == ("order-1", "resolved")


def test_events_of_an_origin_stay_in_order_whoever_publishes_them(
    start_server: Callable[[], ServerThread],
    config: Config,
    channel: BlockingChannel,
    queue: str,
):
    start_server()
    with Resonate.remote(config.url, namespace=config.namespace, group="many") as many:

        def child(ctx: Context, number: int) -> int:
            return number

        def parent(ctx: Context) -> Workflow[int]:
            handles = []
            for number in range(10):
                handles.append((yield ctx.rfi(child, number)))
            total = 0
            for handle in handles:
                total += yield handle
            return total

        many.register(child)
        many.register(parent)
        many.start()
        handles = [many.begin_run(f"tree-{number}", "parent") for number in range(3)]
        assert [handle.result() for handle in handles] == [45] * 3
        many.promises.create("end", expires_in=60)
        many.promises.resolve("end")

    found = sequences(until(channel, queue, "resonate.promise.resolved", "end"))

    assert found.keys() == {"tree-0", "tree-1", "tree-2", "end"}
    for numbers in found.values():
        assert numbers == list(range(1, len(numbers) + 1))


async def test_what_a_server_owed_when_it_ended_is_told_by_the_next(
    client: Resonate,
    server: ServerThread,
    start_server: Callable[[], ServerThread],
    channel: BlockingChannel,
    queue: str,
    rows: Rows,
):
    outlet = server.server._link._events

    async def publish_nothing(*_: object) -> Sequence[int]:
        return ()

    server.call(lambda: setattr(outlet, "_publish", publish_nothing))
    await asyncio.to_thread(client.promises.create, "p", expires_in=60)
    assert await rows.fetchval("select count(*) from events") == 1
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(start_server)

    await asyncio.to_thread(until, channel, queue, "resonate.promise.created", "p")
    await rows.until("select count(*) from events", equals=0)


async def test_what_was_told_and_not_forgotten_is_told_again_with_the_same_id(
    client: Resonate, server: ServerThread, channel: BlockingChannel, queue: str, rows: Rows
):
    events = server.server._link._events
    assert events is not None
    claim = events._rows.claim
    was_forgetful = threading.Event()

    @asynccontextmanager
    async def forgetful(limit: int) -> AsyncGenerator[EventClaim]:
        async with claim(limit) as claimed:
            yield claimed
            if claimed.events and not was_forgetful.is_set():
                was_forgetful.set()
                raise UnavailableError("the connection broke before the commit")

    server.call(lambda: setattr(events._rows, "claim", forgetful))
    await asyncio.to_thread(client.promises.create, "p", expires_in=60)

    first, second = [
        *await asyncio.to_thread(until, channel, queue, "resonate.promise.created", "p"),
        *await asyncio.to_thread(until, channel, queue, "resonate.promise.created", "p"),
    ]

    assert first.headers == second.headers
    await rows.until("select count(*) from events", equals=0)


def test_a_full_queue_loses_nothing_and_mixes_nothing_up(
    client: Resonate, channel: BlockingChannel, queue: str, names: Names
):
    full = f"full-{names.namespace}"
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    channel.queue_declare(full, exclusive=True, arguments=arguments)
    channel.queue_bind(full, names.events, "promise.#")
    channel.basic_publish("", full, b"it is full")

    client.promises.create("p", expires_in=60)
    client.promises.resolve("p")
    client.promises.create("end", expires_in=60)
    until(channel, queue, "resonate.promise.created", "p")  # it was published, and refused there
    channel.queue_purge(full)
    events = until(channel, full, "resonate.promise.resolved", "p")

    of_p = [event for event in events if event.headers[CE + "subject"] == "p"]
    assert [event.type for event in of_p] == [
        "resonate.promise.created",
        "resonate.promise.resolved",
    ]


def test_schedules_are_told_too(client: Resonate, channel: BlockingChannel, queue: str):
    client.schedules.create(
        "report", cron="0 9 * * *", promise_id="r.{{.timestamp}}", promise_timeout=1_000
    )
    client.schedules.delete("report")

    events = until(channel, queue, "resonate.schedule.deleted", "report")

    assert [event.type for event in events] == [
        "resonate.schedule.created",
        "resonate.schedule.deleted",
    ]


def test_the_log_can_be_read_from_its_beginning(
    client: Resonate, channel: BlockingChannel, queue: str, names: Names
):
    client.promises.create("p", expires_in=60)
    until(channel, queue, "resonate.promise.created", "p")
    channel.basic_qos(prefetch_count=10)

    taken = list[Any]()

    def on_message(_: Any, method: Any, properties: Any, __: bytes) -> None:
        taken.append(properties)

    for count in (1, 2):  # reading takes nothing away
        tag = channel.basic_consume(
            names.events_log, on_message, arguments={"x-stream-offset": "first"}
        )
        while len(taken) < count:
            channel.connection.process_data_events(time_limit=1)
        channel.basic_cancel(tag)

    assert [properties.type for properties in taken] == ["resonate.promise.created"] * 2


async def test_without_the_tap_there_is_nothing(
    config: Config, channel: BlockingChannel, names: Names, rows: Rows
):
    off = replace(config, events=EventsConfig())
    with (
        ServerThread(off) as server,
        Resonate.remote(config.url, namespace=config.namespace) as client,
    ):
        await asyncio.to_thread(client.promises.create, "p", expires_in=60)
        assert server.server._link._events is None

    assert await rows.fetchval("select count(*) from events") == 0
    assert await rows.fetchval("select count(*) from event_origins") == 0
