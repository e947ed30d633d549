"""Consumers that exist serve as durable steps: FastStream without a changed line, and pika."""

import asyncio
import threading
from collections.abc import Callable, Generator
from typing import Any

import pika
import pytest
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from pika.adapters.blocking_connection import BlockingChannel

from resonate_broker.background import dispatch
from resonate_broker.config import Config
from resonate_sdk import Context, Resonate, Workflow
from resonate_sdk.errors import ApplicationError, TimedOutError
from resonate_sdk.protocol.topology import Names
from tests.integration.amqp.plain.test_submit import take
from tests.integration.amqp.rows import Rows
from tests.integration.amqp.server import ServerThread

SECONDS_MAX = 20


@pytest.fixture
def exchange(names: Names) -> str:
    """Of somebody else."""
    return f"shop-{names.namespace}"


@pytest.fixture
def orders(config: Config, server: ServerThread, exchange: str) -> Generator[Resonate]:
    """Serves a workflow with a step that is called over the exchange."""
    target = f"amqp-exchange://{exchange}/price.quote"
    with Resonate.remote(config.url, namespace=config.namespace, group="orders") as client:

        def order(ctx: Context, item: str) -> Workflow[Any]:
            price = yield ctx.rpc("quote", item).options(target=target)
            return {"price": price}

        def shortly(ctx: Context, item: str) -> Workflow[Any]:
            return {"price": (yield ctx.rpc("quote", item, target=target))}

        def hurry(ctx: Context, item: str) -> Workflow[Any]:
            return (yield ctx.rpc("quote", item).options(target=target, timeout=0.5))

        for function in (order, shortly, hurry):
            client.register(function)
        client.start()
        yield client


@pytest.fixture
def queue(channel: BlockingChannel, exchange: str) -> str:
    """Of a consumer that is not there yet."""
    channel.exchange_declare(exchange, "topic", auto_delete=True)
    name: str = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(name, exchange, "price.*")
    return name


def answer(channel: BlockingChannel, asked: Any, body: bytes, **properties: Any) -> None:
    """Reply as any consumer does."""
    channel.basic_publish(
        "",
        asked.reply_to,
        body,
        pika.BasicProperties(correlation_id=asked.correlation_id, **properties),
    )


@pytest.mark.parametrize("workflow", ["order", "shortly"])
async def test_a_subscriber_of_faststream_serves_as_a_step(
    config: Config, orders: Resonate, exchange: str, workflow: str
):
    broker = RabbitBroker(config.url)
    asked = list[str]()

    @broker.subscriber(
        RabbitQueue("", routing_key="price.quote", exclusive=True),
        RabbitExchange(exchange, type=ExchangeType.TOPIC, auto_delete=True),
    )
    async def quote(item: str) -> float:
        asked.append(item)
        return len(item) * 1.5

    async with broker:
        await broker.start()
        result = await asyncio.to_thread(orders.run, "order-1", workflow, "pot")

    assert result == {"price": 4.5}
    assert asked == ["pot"]


def test_the_message_is_plain_and_the_first_reply_counts(
    orders: Resonate, channel: BlockingChannel, queue: str, rows: Rows
):
    handle = orders.begin_run("order-1", "order", "pot")
    asked, body = take(channel, queue)

    answer(channel, asked, b"17", content_type="application/json")
    answer(channel, asked, b"18", content_type="application/json")

    assert (asked.type, body) == ("resonate.call", b'"pot"')
    assert asked.headers["resonate-promise"] == "order-1.1"
    assert asked.headers["resonate-func"] == "quote"
    assert asked.delivery_mode == 2
    assert handle.result() == {"price": 17}


def test_an_error_header_rejects(orders: Resonate, channel: BlockingChannel, queue: str):
    handle = orders.begin_run("order-1", "order", "pot")
    asked, _ = take(channel, queue)

    answer(channel, asked, b"", headers={"resonate-error": "sold out"})

    with pytest.raises(ApplicationError, match="sold out"):
        handle.result()


async def test_who_never_replies_lets_the_step_time_out_and_a_late_reply_is_harmless(
    orders: Resonate, channel: BlockingChannel, queue: str, rows: Rows
):
    handle = orders.begin_run("order-1", "hurry", "pot")
    asked, _ = await asyncio.to_thread(take, channel, queue)

    with pytest.raises(TimedOutError):
        await asyncio.to_thread(handle.result)
    answer(channel, asked, b"17")
    second = orders.begin_run("order-2", "order", "lid")
    asked, _ = await asyncio.to_thread(take, channel, queue)
    answer(channel, asked, b"18")

    assert await asyncio.to_thread(second.result) == {"price": 18}
    state = await rows.fetchval("select state from promises where id = 'order-1.1'")
    assert state == "rejected_timedout"


async def test_a_reply_while_no_server_runs_settles_when_one_is_back(
    orders: Resonate,
    server: ServerThread,
    start_server: Callable[[], ServerThread],
    channel: BlockingChannel,
    queue: str,
):
    handle = orders.begin_run("order-1", "order", "pot")
    asked, _ = await asyncio.to_thread(take, channel, queue)
    await asyncio.to_thread(server.stop)

    answer(channel, asked, b"17", delivery_mode=2)
    await asyncio.to_thread(start_server)

    assert await asyncio.to_thread(handle.result) == {"price": 17}
    assert channel.queue_declare(queue, passive=True).method.message_count == 0


@pytest.mark.parametrize("is_exchange_there", [False, True], ids=["no exchange", "no queue"])
def test_a_call_waits_for_a_consumer_that_is_not_there_yet(
    orders: Resonate,
    channel: BlockingChannel,
    exchange: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    is_exchange_there: bool,
):
    monkeypatch.setattr(dispatch, "CALL_AGAIN_MS", (100,))
    was_tried = threading.Event()
    logger = "resonate_broker.aio.calls"
    caplog.handler.addFilter(lambda record: record.name != logger or was_tried.set() or True)
    if is_exchange_there:
        channel.exchange_declare(exchange, "topic")

    handle = orders.begin_run("order-1", "order", "pot")
    assert was_tried.wait(SECONDS_MAX)
    channel.exchange_declare(exchange, "topic")
    name = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(name, exchange, "price.*")
    asked, _ = take(channel, name)
    answer(channel, asked, b"17")

    assert handle.result() == {"price": 17}
    reasons = [r.getMessage() for r in caplog.records if r.name == logger]
    expected = "no queue takes 'price.quote'" if is_exchange_there else "no exchange"
    assert any(expected in reason and "promise_id=order-1.1" in reason for reason in reasons)
    assert "connection to RabbitMQ lost" not in caplog.text
    channel.exchange_delete(exchange)


@pytest.mark.parametrize("correlation_id", ["", "order-1.1", "0" * 32 + ".order-1.1"])
def test_a_reply_that_nobody_was_asked_for_settles_nothing_and_is_kept(
    orders: Resonate, channel: BlockingChannel, queue: str, names: Names, correlation_id: str
):
    handle = orders.begin_run("order-1", "order", "pot")
    asked, _ = take(channel, queue)

    forged = pika.BasicProperties(correlation_id=correlation_id, reply_to=names.replies)
    channel.basic_publish("", names.replies, b"1", forged)
    letter, body = take(channel, names.dead_queue)
    answer(channel, asked, b"17")

    assert body == b"1"
    assert "belongs to no call of ours" in letter.headers["resonate-reason"]
    assert handle.result() == {"price": 17}


@pytest.mark.parametrize(
    "target", ["amqp-exchange:///{ns}.dead", "amqp-exchange://{ns}.submit/invoke"]
)
def test_the_server_calls_none_of_its_own_queues(orders: Resonate, names: Names, target: str):
    options = orders.options(target=target.format(ns=names.namespace), timeout=SECONDS_MAX)

    with pytest.raises(ApplicationError, match="belongs to the server itself"):
        options.rpc("call-1", "quote", "pot")


def test_in_local_mode_a_call_of_an_exchange_is_an_error():
    with Resonate.local() as resonate:
        options = resonate.options(target="amqp-exchange://orders/price.quote", timeout=SECONDS_MAX)

        with pytest.raises(ApplicationError, match="there is none in local mode"):
            options.rpc("call-1", "quote", "pot")
