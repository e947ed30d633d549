"""Services start durable work by publishing plain messages: pika, kombu and FastStream do."""

import asyncio
import gzip
import json
import time
from collections.abc import Callable, Generator
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange, RabbitMessage
from kombu.connection import Connection
from kombu.entity import Queue
from pika.adapters.blocking_connection import BlockingChannel

from resonate_broker.config import Config
from resonate_sdk import Resonate
from resonate_sdk.protocol.topology import Names
from tests.integration.amqp.plain.conftest import GROUP, Prices
from tests.integration.amqp.plain.tutorial import RpcClient
from tests.integration.amqp.rows import Rows
from tests.integration.amqp.server import ServerThread, lose_answers_and_acknowledgements

SECONDS_MAX = 20
HEADERS = {"resonate-func": "price", "resonate-target": GROUP}


@pytest.fixture
def rpc(config: Config, names: Names, worker: Resonate) -> Generator[RpcClient]:
    with RpcClient(config.url, names.submit) as client:
        yield client


def take(channel: BlockingChannel, queue: str) -> tuple[Any, bytes]:
    """The next message of a queue."""
    for _, properties, body in channel.consume(
        queue, inactivity_timeout=SECONDS_MAX, auto_ack=True
    ):
        channel.cancel()
        assert body is not None, f"nothing in {queue}"
        return properties, body
    raise AssertionError


def existing(name: str) -> Any:
    return RabbitExchange(name, type=ExchangeType.TOPIC, durable=True, declare=False)


@pytest.mark.parametrize(
    ("arguments", "result"),
    [(["pot", 2], 6), ({"item": "pot", "count": 3}, 9), ("kettle", 6)],
    ids=["list", "object", "one value"],
)
def test_an_rpc_client_as_of_the_tutorials_gets_the_result(rpc: RpcClient, arguments, result):
    assert rpc.call("order-1", arguments, func="price", target=GROUP) == result


def test_a_body_may_be_compressed(rpc: RpcClient):
    sent = rpc.send(gzip.compress(b'["pot", 2]'), "order-1", HEADERS, content_encoding="gzip")

    assert rpc.reply(sent)[1] == b"6"


def test_who_publishes_the_same_id_twice_runs_once_and_is_answered_twice(
    rpc: RpcClient, config: Config, names: Names, prices: Prices
):
    with RpcClient(config.url, names.submit) as other:
        first = rpc.send(b'"pot"', "order-1", HEADERS)
        second = rpc.send(b'"pot"', "order-1", HEADERS)
        third = other.send(b'"pot"', "order-1", HEADERS)

        assert rpc.reply(first)[1] == rpc.reply(second)[1] == other.reply(third)[1] == b"3"
    assert rpc.call("order-1", "pot", func="price", target=GROUP) == 3  # settled by now
    assert prices.asked == ["order-1"]


def test_a_failure_is_an_answer_with_an_error_in_its_headers(rpc: RpcClient):
    headers = {"resonate-func": "refuse", "resonate-target": GROUP}
    properties, body = rpc.reply(rpc.send(b'"pot"', "order-1", headers))

    assert properties.type == "resonate.result"
    assert properties.headers["resonate-state"] == "rejected"
    assert properties.headers["resonate-error"] == "no pot here"
    assert properties.headers["resonate-promise"] == "order-1"
    assert json.loads(body)["name"] == "LookupError"


def test_the_acknowledgement_comes_to_who_asks_for_it_before_the_result(
    rpc: RpcClient, prices: Prices
):
    headers = {**HEADERS, "resonate-func": "wait", "resonate-acknowledge": "true"}
    sent = rpc.send(b'"pot"', "order-1", headers)

    accepted, _ = rpc.reply(sent)
    prices.may_end.set()
    result, body = rpc.reply(sent, count=2)

    assert (accepted.type, accepted.headers["resonate-state"]) == ("resonate.accepted", "pending")
    assert (result.type, json.loads(body)) == ("resonate.result", "a pot at last")


@pytest.mark.parametrize(
    ("body", "message_id", "headers", "reason"),
    [
        (b"pot", "order-1", HEADERS, "the body is not JSON"),
        (b'"pot"', None, HEADERS, "the property message_id is missing"),
        (b'"pot"', "order-1", {"resonate-target": GROUP}, "must name a function"),
        (b'"pot"', "order-1", {**HEADERS, "resonate-timeout": "soon"}, "is no duration"),
    ],
)
def test_a_bad_message_is_answered_at_once_with_what_is_wrong(
    rpc: RpcClient, prices: Prices, body: bytes, message_id: str | None, headers, reason: str
):
    properties, _ = rpc.reply(rpc.send(body, message_id, headers))

    assert (properties.type, properties.headers["resonate-status"]) == ("resonate.refused", 400)
    assert reason in properties.headers["resonate-error"]
    assert prices.asked == []


def test_an_id_of_another_call_is_refused(rpc: RpcClient):
    assert rpc.call("order-1", "pot", func="price", target=GROUP) == 3

    headers = {"resonate-func": "refuse", "resonate-target": GROUP}
    properties, _ = rpc.reply(rpc.send(b'"pot"', "order-1", headers))

    assert properties.headers["resonate-status"] == 409
    assert "calls 'price', not 'refuse'" in properties.headers["resonate-error"]


@pytest.mark.parametrize("reply_to", [None, "payments", "{ns}.dead"])
def test_what_is_wrong_and_cannot_be_answered_is_kept_with_the_reason(
    server: ServerThread, channel: BlockingChannel, names: Names, reply_to: str | None
):
    channel.basic_publish(
        names.submit,
        "invoke",
        b'"pot"' if reply_to else b"pot",
        pika.BasicProperties(
            message_id="order-1",
            correlation_id="c1",
            reply_to=reply_to and reply_to.format(ns=names.namespace),
            headers={**HEADERS, "x-shop": "north"},
            user_id="guest",
        ),
    )
    properties, body = take(channel, names.dead_queue)

    expected = "is not allowed: use direct reply-to" if reply_to else "the body is not JSON"
    assert expected in properties.headers["resonate-reason"]
    assert body == (b'"pot"' if reply_to else b"pot")
    assert properties.correlation_id == "c1"
    assert properties.headers["x-shop"] == "north"
    assert properties.headers["resonate-func"] == "price"
    assert properties.headers["resonate-message-id"] == "order-1"
    assert properties.headers["resonate-user-id"] == "guest"
    assert properties.headers["resonate-routing-key"] == "invoke"
    assert properties.headers["resonate-died-at"] > time.time_ns() // 1_000_000 - 3_600_000


REJECT = """
    create function reject() returns trigger language plpgsql as
        $$ begin raise 'poison'; end $$;
    create trigger reject before insert on promises
        for each row when (new.id = 'order-1') execute function reject()
"""


@pytest.mark.parametrize("is_answered", [True, False])
async def test_what_the_database_rejects_is_kept_with_the_reason_and_does_not_come_again(
    server: ServerThread, channel: BlockingChannel, names: Names, rows: Rows, is_answered: bool
):
    await rows.execute(REJECT)
    queue: str = channel.queue_declare("", exclusive=True).method.queue

    def publish(id: str) -> None:
        reply_to = queue if is_answered else None
        properties = pika.BasicProperties(message_id=id, reply_to=reply_to, headers=HEADERS)
        channel.basic_publish(names.submit, "invoke", b'"pot"', properties)

    publish("order-1")
    letter, body = await asyncio.to_thread(take, channel, names.dead_queue)

    assert "poison" in letter.headers["resonate-reason"]
    assert (letter.headers["resonate-message-id"], body) == ("order-1", b'"pot"')
    if is_answered:
        answer, _ = await asyncio.to_thread(take, channel, queue)
        assert answer.headers["resonate-status"] == 500
    publish("order-2")
    await rows.until_exists("order-2")
    assert channel.queue_declare(names.dead_queue, passive=True).method.message_count == 0


async def test_answers_that_a_full_queue_refuses_do_not_stop_the_others(
    server: ServerThread, channel: BlockingChannel, names: Names, rows: Rows
):
    full = f"{names.namespace}.reply.full"
    limits = {"x-max-length": 0, "x-overflow": "reject-publish"}
    channel.queue_declare(full, exclusive=True, arguments=limits)

    for _ in range(70):  # more than the server takes without acknowledging them
        wrong = pika.BasicProperties(message_id="wrong", reply_to=full, headers=HEADERS)
        channel.basic_publish(names.submit, "invoke", b"pot", wrong)
    fine = pika.BasicProperties(message_id="order-1", headers=HEADERS)
    channel.basic_publish(names.submit, "invoke", b'"pot"', fine)

    await rows.until_exists("order-1")


async def test_the_promise_is_durable_before_the_message_is_acknowledged(
    start_server: Callable[[], ServerThread],
    config: Config,
    names: Names,
    rows: Rows,
    channel: BlockingChannel,
):
    """The first server dies between its commit and everything that follows from it."""
    first = start_server()
    queue = channel.queue_declare(f"{names.namespace}.reply.shop", exclusive=True).method.queue
    lose_answers_and_acknowledgements(first)
    properties = pika.BasicProperties(
        message_id="order-1", reply_to=queue, correlation_id="c1", headers=HEADERS, delivery_mode=2
    )
    channel.basic_publish(names.submit, "invoke", b'"pot"', properties)
    await rows.until_exists("order-1")
    await asyncio.to_thread(first.stop)

    start_server()
    with Resonate.remote(config.url, namespace=config.namespace, group=GROUP) as client:
        asked = list[str]()

        def price(ctx: Any, item: str) -> int:
            asked.append(item)
            return 17

        client.register(price)
        client.start()
        answer, body = await asyncio.to_thread(take, channel, queue)

    assert (answer.correlation_id, body) == ("c1", b"17")
    assert asked == ["pot"]


async def test_the_result_arrives_although_the_server_was_away_when_it_settled(
    start_server: Callable[[], ServerThread],
    server: ServerThread,
    worker: Resonate,
    prices: Prices,
    names: Names,
    config: Config,
    rows: Rows,
):
    """The worker ends while no server runs; kombu waits in a durable queue of its own."""
    with Connection(config.url.replace("amqp://", "pyamqp://")) as connection:
        queue = Queue(f"{names.namespace}.reply.shop", durable=True, channel=connection)
        queue.declare()
        producer = connection.Producer(serializer="json")
        producer.publish(
            ["pot"],
            exchange=names.submit,
            routing_key="invoke",
            message_id="order-1",
            reply_to=queue.name,
            correlation_id="c1",
            headers={**HEADERS, "resonate-func": "wait"},
        )
        assert await asyncio.to_thread(prices.has_begun.wait, SECONDS_MAX)
        await asyncio.to_thread(server.stop)
        prices.may_end.set()
        await asyncio.to_thread(start_server)

        def result() -> Any:
            return connection.SimpleQueue(queue).get(timeout=SECONDS_MAX)

        message = await asyncio.to_thread(result)
        message.ack()
        queue.delete()

    assert (message.payload, message.properties["correlation_id"]) == ("a pot at last", "c1")
    await rows.until("select count(*) from listeners", equals=0)
    assert prices.asked == ["order-1"]


async def test_the_request_of_faststream_returns_the_result(
    config: Config, names: Names, worker: Resonate
):
    async with RabbitBroker(config.url) as broker:
        message: RabbitMessage = await broker.request(
            {"item": "pot", "count": 4},
            "invoke",
            exchange=existing(names.submit),
            message_id="order-1",
            headers={**HEADERS},
            timeout=SECONDS_MAX,
        )
        assert await message.decode() == 12


async def test_a_publisher_that_has_gone_harms_nobody(
    config: Config, names: Names, worker: Resonate, prices: Prices, rows: Rows
):
    with RpcClient(config.url, names.submit) as leaving:
        leaving.send(b'"pot"', "order-1", {**HEADERS, "resonate-func": "wait"})
        assert prices.has_begun.wait(SECONDS_MAX)
    prices.may_end.set()

    await rows.until("select count(*) from listeners", equals=0)
    with RpcClient(config.url, names.submit) as staying:
        assert staying.call("order-2", "pot", func="price", target=GROUP) == 3


def test_the_verified_publisher_is_recorded_with_the_promise(
    rpc: RpcClient, config: Config, names: Names, worker: Resonate
):
    user = urlsplit(config.url).username
    connection = pika.BlockingConnection(pika.URLParameters(config.url))
    try:
        properties = pika.BasicProperties(message_id="order-9", user_id=user, headers=HEADERS)
        connection.channel().basic_publish(names.submit, "invoke", b'"pot"', properties)
    finally:
        connection.close()
    assert rpc.call("order-9", "pot", func="price", target=GROUP) == 3

    record = worker.promises.get("order-9").stored

    assert record.param.headers == {"resonate:user": user}


def test_a_client_that_signs_is_recorded_and_one_that_claims_is_not(
    config: Config, names: Names, worker: Resonate
):
    user = urlsplit(config.url).username
    with Resonate(url=config.url, namespace=names.namespace, group="shop", signs=True) as client:
        client.promises.create("approval-1", expires_in=60)
        client.promises.resolve("approval-1", True)
        call = client.options(target=GROUP).begin_rpc("order-8", "price", "pot")
        assert call.result() == 3

    approval, order = (worker.promises.get(id).stored for id in ("approval-1", "order-8"))

    assert approval.param.headers == approval.value.headers == {"resonate:user": user}
    assert order.param.headers == {"resonate:user": user}
    assert not order.value.headers  # the worker does not sign
