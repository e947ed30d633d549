"""Where answers go, and properties of messages that are out of the ordinary."""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from resonate_broker.config import Config
from resonate_sdk.protocol.topology import Names
from tests.integration.amqp.foreign import (
    DIRECT_REPLY,
    OK,
    ForeignClient,
    create,
    foreign_client,
    request,
)
from tests.integration.amqp.server import ServerThread

HEADERS_BYTES = 100_000  # a header must fit into one frame of 128 KiB
EXPIRES_MS = 20
YEAR_2020 = datetime(2020, 1, 1, tzinfo=UTC)


async def test_answers_go_to_a_reply_queue_of_the_namespace(client: ForeignClient):
    name = client.names.reply_queue("plain-client")
    await client.declare(name)
    replies = await client.consume(name)

    await client.send(request("promise.create", create("a"), corr_id="c"), reply_to=name)

    assert (await replies.next_json())["head"]["status"] == OK


@pytest.mark.parametrize("form", ["object", "array"])
async def test_two_reply_queues_get_their_own_answers(client: ForeignClient, form: str):
    names = [client.names.reply_queue(pid) for pid in ("one", "two")]
    inboxes = []
    for name in names:
        await client.declare(name)
        inboxes.append(await client.consume(name))

    for number in range(20):
        body = request("promise.create", create(f"p{number}"), corr_id=f"{number}")
        await client.send([body] if form == "array" else body, reply_to=names[number % 2])

    for parity, inbox in enumerate(inboxes):
        found: list[int] = []
        while len(found) < 10:
            answer = await inbox.next_json()
            assert isinstance(answer, list) == (form == "array")
            answers = answer if isinstance(answer, list) else [answer]
            found += [int(answer["head"]["corrId"]) for answer in answers]
        assert found == list(range(parity, 20, 2))


@pytest.mark.parametrize(
    "reply_to",
    [
        "{ns}.reply.nobody",
        "amq.rabbitmq.reply-to.",
        "amq.rabbitmq.reply-to.nonsense",
        "amq.rabbitmq.reply-to.non.sense",
        "amq.rabbitmq.reply-to.!!!.???",
    ],
    ids=["no queue", "no token", "no key", "no base64", "other signs"],
)
async def test_an_answer_that_nobody_takes_is_dropped_and_the_request_is_carried_out(
    client: ForeignClient, caplog: pytest.LogCaptureFixture, reply_to: str
):
    reply_to = reply_to.format(ns=client.names.namespace)

    await client.send(request("promise.create", create("a"), corr_id="c"), reply_to=reply_to)

    assert (await client.promise("a"))["state"] == "pending"
    assert "connection to RabbitMQ lost" not in caplog.text


async def test_an_answer_to_a_client_that_is_gone_is_dropped(
    client: ForeignClient, config: Config, caplog: pytest.LogCaptureFixture
):
    name = f"{config.namespace}-looked-at"
    await client.declare(name)
    looked_at = await client.consume(name)
    async with foreign_client(config.url, config.namespace) as leaving:
        message = aio_pika.Message(b"", reply_to=DIRECT_REPLY)
        await leaving.channel.default_exchange.publish(message, routing_key=name)
        address = (await looked_at.next()).reply_to

    await client.send(request("promise.create", create("a"), corr_id="c"), reply_to=address)

    assert address is not None
    assert address.startswith(f"{DIRECT_REPLY}.")
    assert (await client.promise("a"))["state"] == "pending"
    assert "connection to RabbitMQ lost" not in caplog.text


@pytest.mark.parametrize("queue", ["{ns}.dead", "{ns}.submit.p00", "{ns}.replyx", "somewhere-else"])
async def test_the_server_publishes_to_no_queue_but_those_of_clients(
    client: ForeignClient, caplog: pytest.LogCaptureFixture, queue: str
):
    queue = queue.format(ns=client.names.namespace)
    if queue not in (client.names.dead_queue, client.names.submit_queue(0)):
        await client.declare(queue)
    dead = await client.consume(client.names.dead_queue)

    await client.send(request("promise.create", create("a"), corr_id="c"), reply_to=queue)

    assert (await client.promise("a"))["state"] == "pending"
    if queue not in (client.names.dead_queue, client.names.submit_queue(0)):
        found = await client.channel.declare_queue(queue, passive=True)
        assert found.declaration_result.message_count == 0
    assert dead.is_empty
    assert client.answers.is_empty


async def test_a_reply_address_that_is_not_allowed_is_logged_in_one_line(
    client: ForeignClient, caplog: pytest.LogCaptureFixture
):
    await client.send(request("promise.create", create("a"), corr_id="c"), reply_to="elsewhere")
    await client.promise("a")

    lines = [record for record in caplog.records if "elsewhere" in record.getMessage()]
    assert [record.levelno for record in lines] == [logging.WARNING]


async def test_a_request_without_any_correlation_id_is_answered(client: ForeignClient):
    await client.send(request("promise.create", create("a")))

    message = await client.answers.next()

    assert json.loads(message.body)["head"]["corrId"] == "0"
    assert message.correlation_id is None


@pytest.mark.parametrize(
    "properties",
    [
        {"headers": {"x": "h" * HEADERS_BYTES}},
        {"headers": {f"x{number}": number for number in range(5_000)}},
        {"headers": {"a": [1, "b", {"c": None, "d": 1.5}], "when": YEAR_2020}},
        {"correlation_id": "é" * 127},
        {"message_id": "m" * 255, "type": "t" * 255, "app_id": "a" * 255},
        {"content_type": "text/plain", "content_encoding": "gzip", "priority": 9},
        {"expiration": 60},
        {"delivery_mode": aio_pika.DeliveryMode.NOT_PERSISTENT},
    ],
    ids=[
        "huge header",
        "many headers",
        "all types",
        "long correlation id",
        "long strings",
        "content type",
        "expiration",
        "transient",
    ],
)
async def test_properties_do_not_decide_whether_a_request_is_carried_out(
    client: ForeignClient, properties: dict[str, Any]
):
    body = json.dumps(request("promise.create", create("a"), corr_id="c")).encode()
    message = aio_pika.Message(body, reply_to=DIRECT_REPLY)
    for name, value in properties.items():
        setattr(message, name, value)
    exchange = await client.channel.get_exchange(client.names.submit, ensure=False)
    await exchange.publish(message, routing_key="promise.create")

    answer = await client.answers.next()

    assert json.loads(answer.body)["head"]["status"] == OK
    assert answer.correlation_id == properties.get("correlation_id")


@pytest.mark.parametrize(
    "properties",
    [
        commands.Basic.Properties(correlation_id="text"),
        commands.Basic.Properties(headers={"key": "text"}),
        commands.Basic.Properties(headers={"text": "value"}),
    ],
    ids=["correlation id", "header", "name of a header"],
)
async def test_text_that_is_no_utf8_in_a_property_does_not_stop_the_queue(
    client: ForeignClient, server: ServerThread, properties: commands.Basic.Properties
):
    await publish_raw(client, properties, b"text", b"\xff\xfe\xfd\xfc")

    answer = await client.ask("promise.create", create("next"))

    assert answer["head"]["status"] == OK
    assert server.is_alive


@pytest.mark.parametrize("instant", [2**40, 2**64 - 1])
async def test_a_timestamp_beyond_all_calendars_does_not_stop_the_queue(
    client: ForeignClient, server: ServerThread, instant: int
):
    properties = commands.Basic.Properties(timestamp=YEAR_2020)
    seconds = int(YEAR_2020.timestamp()).to_bytes(8, "big")
    await publish_raw(client, properties, seconds, instant.to_bytes(8, "big"))

    answer = await client.ask("promise.create", create("next"))

    assert answer["head"]["status"] == OK
    assert server.is_alive


async def publish_raw(
    client: ForeignClient, properties: commands.Basic.Properties, old: bytes, new: bytes
) -> None:
    """Publish a request in whose properties these bytes stand instead of those."""
    body = json.dumps(request("promise.create", create("odd"), corr_id="c")).encode()
    channel = await client.channel.get_underlay_channel()
    assert isinstance(channel, Channel)
    publish = commands.Basic.Publish(exchange=client.names.submit, routing_key="promise.create")
    header = frame.marshal(ContentHeader(body_size=len(body), properties=properties), 1)
    assert old in header
    payload = b"".join(
        [
            frame.marshal(publish, channel.number),
            _on_channel(header.replace(old, new), channel.number),
            frame.marshal(ContentBody(body), channel.number),
        ]
    )
    channel.delivery_tag += 1
    confirmed = asyncio.get_running_loop().create_future()
    channel.confirmations[channel.delivery_tag] = confirmed
    await channel.connection.write_queue.put(ChannelFrame(payload=payload, should_close=False))
    await confirmed


def _on_channel(marshalled: bytes, channel: int) -> bytes:
    return marshalled[:1] + channel.to_bytes(2, "big") + marshalled[3:]


async def test_a_request_that_expired_while_no_server_ran_is_not_carried_out(
    config: Config, start_server: Callable[[], ServerThread]
):
    start_server().stop()  # its queues stay
    async with foreign_client(config.url, config.namespace) as client:
        dead = await client.consume(Names(config.namespace).dead_queue)
        late = request("promise.create", create("late"), corr_id="late")
        await client.send(late, expiration=EXPIRES_MS / 1000)
        letter = await dead.next()

        start_server()

        answer = await client.ask("promise.get", {"id": "late"})
        assert json.loads(letter.body) == late
        assert letter.headers["x-first-death-reason"] == "expired"
        assert answer["head"]["status"] == 404
