"""News of promises: who registered an address hears of the settlement, at least once."""

import json
from collections.abc import Callable

import aio_pika
import pytest

from resonate_broker.config import Config
from tests.integration.amqp.foreign import (
    OK,
    ForeignClient,
    create,
    foreign_client,
    request,
    settle,
    statuses,
)
from tests.integration.amqp.rows import Rows
from tests.integration.amqp.server import ServerThread, drop_messages

GROUP = "billing"
ME = "me"
MY_ADDRESS = f"amqp://uni@{GROUP}/{ME}"
COUNT_LISTENERS = "select count(*) from listeners"
SOON_MS = (300, 5_000)  # later where a busy machine has let it pass before anybody listened


async def listen(client: ForeignClient, id: str, address: str = MY_ADDRESS) -> None:
    answers = await client.ask_all(
        [
            request("promise.create", create(id)),
            request("promise.register_listener", {"awaited": id, "address": address}),
        ]
    )
    assert statuses(answers) == [OK, OK]


@pytest.fixture
async def listener(client: ForeignClient) -> ForeignClient:
    """A client whose queue is the address of a process."""
    await client.use_queue(ME)
    return client


async def settle_quietly(client: ForeignClient, id: str, text: str = "news") -> None:
    """Settle without being answered."""
    await client.send(request("promise.settle", settle(id, text)), reply_to=None)


@pytest.mark.parametrize("address", [MY_ADDRESS, f"poll://uni@{GROUP}/{ME}"])
async def test_a_process_hears_of_the_settlement_in_its_own_queue(
    listener: ForeignClient, rows: Rows, address: str
):
    await listen(listener, "p", address)

    await settle_quietly(listener, "p")
    message = await listener.answers.next()

    notify = json.loads(message.body)
    assert (message.type, notify["kind"]) == ("notify", "notify")
    assert notify["data"]["promise"] == await listener.promise("p")
    assert notify["data"]["promise"]["value"] == {"data": "news"}
    await rows.until(COUNT_LISTENERS, equals=0)
    assert listener.answers.is_empty


@pytest.mark.parametrize("address", [GROUP, f"amqp://any@{GROUP}"])
async def test_a_group_hears_of_the_settlement_in_its_task_queue(
    client: ForeignClient, rows: Rows, address: str
):
    await client.greet_as_worker(GROUP, ME)
    tasks = await client.consume(client.names.task_queue(GROUP))
    await listen(client, "p", address)

    await settle_quietly(client, "p")
    message = await tasks.next()

    assert message.type == "notify"
    assert json.loads(message.body)["data"]["promise"]["id"] == "p"
    await rows.until(COUNT_LISTENERS, equals=0)


async def test_each_address_hears_once_however_often_it_registered(
    listener: ForeignClient, rows: Rows
):
    await listen(listener, "p")
    await listen(listener, "p")
    await listen(listener, "p", f"poll://uni@{GROUP}/{ME}")

    await settle_quietly(listener, "p")
    await listener.answers.next()
    await rows.until(COUNT_LISTENERS, equals=0)

    answer = await listener.ask("promise.get", {"id": "p"})
    assert answer["head"]["status"] == OK


async def test_a_deadline_is_news_too(listener: ForeignClient):
    timeout_at = 0
    for number, soon_ms in enumerate(SOON_MS):
        now = await listener.ask("promise.create", create(f"now-{number}"))
        timeout_at = now["data"]["promise"]["createdAt"] + soon_ms
        id = f"p-{number}"
        await listener.ask("promise.create", create(id) | {"timeoutAt": timeout_at})
        listening = {"awaited": id, "address": MY_ADDRESS}
        found = await listener.ask("promise.register_listener", listening)
        if found["data"]["promise"]["state"] == "pending":
            break

    notify = await listener.answers.next_json()

    assert notify["data"]["promise"]["state"] == "rejected_timedout"
    assert notify["data"]["promise"]["settledAt"] == timeout_at


async def test_of_a_settled_promise_the_answer_is_the_news(listener: ForeignClient, rows: Rows):
    await listener.ask_all(
        [request("promise.create", create("p")), request("promise.settle", settle("p", "old"))]
    )

    answer = await listener.ask(
        "promise.register_listener", {"awaited": "p", "address": MY_ADDRESS}
    )

    assert answer["data"]["promise"]["value"] == {"data": "old"}
    assert await rows.fetchval(COUNT_LISTENERS) == 0


async def test_a_process_that_is_gone_is_forgotten(client: ForeignClient, rows: Rows):
    await listen(client, "p", f"amqp://uni@{GROUP}/gone")

    await settle_quietly(client, "p")

    await rows.until(COUNT_LISTENERS, equals=0)


async def test_a_process_that_is_gone_leaves_its_news_to_no_other(client: ForeignClient):
    await client.greet_as_worker(GROUP, ME)
    tasks = await client.consume(client.names.task_queue(GROUP))
    await listen(client, "p1", f"amqp://uni@{GROUP}/gone")
    await listen(client, "p2", f"amqp://any@{GROUP}")

    await settle_quietly(client, "p1")
    await settle_quietly(client, "p2")

    assert (await tasks.next_json())["data"]["promise"]["id"] == "p2"
    assert tasks.is_empty


async def test_news_that_a_full_queue_refused_are_sent_again(client: ForeignClient, rows: Rows):
    name = client.names.reply_queue(ME)
    await client.declare(name, {"x-max-length": 1, "x-overflow": "reject-publish"})
    await client.channel.default_exchange.publish(aio_pika.Message(b'"full"'), routing_key=name)
    await listen(client, "p")

    await settle_quietly(client, "p")
    assert (await client.promise("p"))["state"] == "resolved"
    inbox = await client.consume(name)

    assert await inbox.next_json() == "full"
    assert (await inbox.next_json())["data"]["promise"]["id"] == "p"
    await rows.until(COUNT_LISTENERS, equals=0)


async def test_news_that_a_server_owed_when_it_ended_are_sent_by_the_next(
    config: Config, start_server: Callable[[], ServerThread], rows: Rows
):
    dying = start_server()
    async with foreign_client(config.url, config.namespace) as client:
        await client.use_queue(ME)
        await client.greet_as_worker(GROUP, ME)
        tasks = await client.consume(client.names.task_queue(GROUP))
        await listen(client, "p", MY_ADDRESS)
        await listen(client, "p", f"amqp://any@{GROUP}")
        drop_messages(dying)
        settled = await client.ask("promise.settle", settle("p", "news"))
        dying.stop()
        assert await rows.fetchval(COUNT_LISTENERS) == 2

        start_server()

        for inbox in (client.answers, tasks):
            assert (await inbox.next_json())["data"] == settled["data"]
        await rows.until(COUNT_LISTENERS, equals=0)
