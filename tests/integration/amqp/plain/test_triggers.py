"""Events of exchanges that know nothing of us start executions and settle promises."""

import asyncio
import json
import time
from collections.abc import Callable, Generator
from typing import Any

import pika
import pytest
from aiormq.exceptions import ChannelInvalidStateError
from kombu.connection import Connection
from kombu.entity import Exchange
from msgspec.structs import replace
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, UnroutableError
from typer.testing import CliRunner

from resonate_broker.api import triggers
from resonate_broker.cli.program import app
from resonate_broker.config import Config, IntegrationConfig
from resonate_broker.kernel.entries import Completed
from resonate_sdk import Context, Resonate
from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.session import Session
from resonate_sdk.errors import ApplicationError, NotFoundError
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.responses import Answer
from resonate_sdk.protocol.topology import Names
from tests import logs
from tests.integration.amqp.foreign import foreign_client
from tests.integration.amqp.plain.conftest import GROUP, Prices
from tests.integration.amqp.plain.test_submit import take
from tests.integration.amqp.rows import Rows
from tests.integration.amqp.server import ServerThread, lose_answers_and_acknowledgements
from tests.integration.amqp.test_lost_connections import break_session

REFUSED, USAGE, NOT_FOUND, OTHER_STATE = 1, 2, 4, 5
LOG_SECONDS_MAX = 30

Shell = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "LOOK_INTERVAL_S", 0.1)


@pytest.fixture
def shell(config: Config, server: ServerThread) -> Shell:
    """Runs `resonate triggers …`; the exit code and what was printed."""
    environment = {"RESONATE_URL": config.url, "RESONATE_NAMESPACE": config.namespace}

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        with logs.restored():
            ended = CliRunner().invoke(app, ["triggers", *arguments, "--json"], env=environment)
        return ended.exit_code, json.loads(ended.stdout or ended.stderr)

    return run


@pytest.fixture
def shop(channel: BlockingChannel, names: Names) -> Generator[str]:
    """An exchange of somebody else."""
    name = f"shop-{names.namespace}"
    channel.exchange_declare(name, "topic", durable=True)
    yield name
    channel.exchange_delete(name)


def create(shell: Shell, exchange: str, *options: str, id: str = "orders") -> None:
    where = ("--exchange", exchange, "--routing-key", "order.created")
    code, document = shell("create", id, *where, *options)
    assert code == 0, document


STARTS = ("--func", "price", "--target", GROUP)


def result(client: Resonate, id: str) -> Any:
    """What an execution returned that somebody else has started, or starts soon."""
    while True:
        try:
            return client.get(id).result()
        except NotFoundError:
            pass  # asking is all the waiting there is


def publish(channel: BlockingChannel, exchange: str, body: bytes, **properties: Any) -> None:
    channel.basic_publish(exchange, "order.created", body, pika.BasicProperties(**properties))


def publish_when_bound(
    channel: BlockingChannel, exchange: str, body: bytes, **properties: Any
) -> None:
    """Publish an event until a queue takes it: a server has bound it then."""
    channel.confirm_delivery()
    about = pika.BasicProperties(**properties)
    while True:
        try:
            channel.basic_publish(exchange, "order.created", body, about, mandatory=True)
        except UnroutableError:
            continue
        return


async def test_an_event_starts_one_execution_however_often_it_comes(
    shell: Shell, channel: BlockingChannel, shop: str, worker: Resonate, prices: Prices, rows: Rows
):
    await asyncio.to_thread(create, shell, shop, *STARTS)

    for _ in range(3):
        publish(channel, shop, b'"pot"', message_id="m-1")
    publish(channel, shop, b'"kettle"', message_id="m-2")

    assert await asyncio.to_thread(result, worker, "orders:m-1") == 3
    assert await asyncio.to_thread(result, worker, "orders:m-2") == 6
    assert sorted(prices.asked) == ["orders:m-1", "orders:m-2"]
    assert await rows.fetchval("select count(*) from promises") == 2


def test_an_event_of_kombu_names_its_execution_by_a_field_of_its_body(
    shell: Shell, config: Config, shop: str, worker: Resonate
):
    @worker.register
    def count(ctx: Context, order: dict[str, Any]) -> int:
        return order["count"]

    create(shell, shop, "--func", "count", "--target", GROUP, "--promise-id", "order-{{.body.no}}")

    with Connection(config.url) as connection:
        exchange = Exchange(shop, type="topic", durable=True, passive=True)
        producer = connection.Producer(exchange=exchange, serializer="json")
        producer.publish({"no": 17, "count": 3}, routing_key="order.other")
        producer.publish({"no": 17, "count": 5}, routing_key="order.created")

    assert result(worker, "order-17") == 5


async def test_an_event_gives_what_it_starts_a_key_and_a_priority(
    shell: Shell, channel: BlockingChannel, shop: str, worker: Resonate, names: Names, rows: Rows
):
    wishes = ("--key", "{{.body}}", "--priority", "{{.headers.urgency}}")
    await asyncio.to_thread(create, shell, shop, *STARTS, *wishes)

    publish(channel, shop, b'"pot"', message_id="m-1", headers={"urgency": 7})
    publish(channel, shop, b'"kettle"', message_id="m-2", headers={"urgency": 10})
    letter, _ = await asyncio.to_thread(take, channel, names.dead_queue)

    assert await asyncio.to_thread(result, worker, "orders:m-1") == 3
    kept = "select json_agg(json_build_array(id, priority, concurrency_key))::text from promises"
    assert json.loads(await rows.fetchval(kept)) == [["orders:m-1", 7, "pot"]]
    assert (
        "a priority is a number from 0 to 9, 9 goes first, found '10'"
        in (letter.headers["resonate-reason"])
    )
    assert (await asyncio.to_thread(shell, "get", "orders"))[1]["key"] == "{{.body}}"


async def test_an_event_settles_the_promise_that_it_names(
    shell: Shell, channel: BlockingChannel, shop: str, server: ServerThread, config: Config
):
    await asyncio.to_thread(
        create, shell, shop, "--settle", "--promise-id", "payment-{{.headers.order}}"
    )
    with Resonate.remote(config.url, namespace=config.namespace) as client:
        for number in (1, 2):
            await asyncio.to_thread(client.promises.create, f"payment-{number}", expires_in=60)

        publish(channel, shop, b'{"paid": true}', headers={"order": 1})
        publish(channel, shop, b'{"paid": false}', headers={"order": 1})
        publish(channel, shop, b"", headers={"order": "2", "resonate-error": "sold out"})

        assert await asyncio.to_thread(result, client, "payment-1") == {"paid": True}
        with pytest.raises(ApplicationError, match="sold out"):
            await asyncio.to_thread(result, client, "payment-2")


@pytest.mark.parametrize(
    ("options", "properties", "reason"),
    [
        (STARTS, {}, "trigger 'orders': the event has no {{.message_id}}"),
        (
            ("--settle", "--promise-id", "{{.message_id}}"),
            {"message_id": "unknown"},
            "'unknown'",
        ),
    ],
    ids=["no id", "no promise"],
)
def test_what_cannot_be_done_is_a_dead_letter_that_goes_back_to_the_trigger_alone(
    shell: Shell,
    channel: BlockingChannel,
    shop: str,
    names: Names,
    options: tuple[str, ...],
    properties: dict[str, str],
    reason: str,
):
    create(shell, shop, *options)

    publish(channel, shop, b"1", **properties)
    letter, body = take(channel, names.dead_queue)

    assert body == b"1"
    assert reason in letter.headers["resonate-reason"]
    assert letter.headers["resonate-exchange"] == shop


async def test_an_event_that_was_not_acknowledged_runs_once(
    shell: Shell,
    channel: BlockingChannel,
    shop: str,
    server: ServerThread,
    start_server: Callable[[], ServerThread],
    worker: Resonate,
    prices: Prices,
    rows: Rows,
    names: Names,
):
    await asyncio.to_thread(create, shell, shop, *STARTS)
    lose_answers_and_acknowledgements(server)
    publish(channel, shop, b'"pot"', message_id="m-1", delivery_mode=2)
    await rows.until_exists("orders:m-1")

    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(start_server)
    publish(channel, shop, b'"pot"', message_id="m-2")

    for id in ("orders:m-1", "orders:m-2"):
        assert await asyncio.to_thread(result, worker, id) == 3
    assert sorted(prices.asked) == ["orders:m-1", "orders:m-2"]
    queue = names.trigger_queue("orders")
    while channel.queue_declare(queue, passive=True).method.message_count:
        pass  # asking is all the waiting there is


@pytest.mark.parametrize("status", [500, 503])
def test_an_event_that_nobody_could_decide_comes_again(
    status: int,
    shell: Shell,
    channel: BlockingChannel,
    shop: str,
    server: ServerThread,
    worker: Resonate,
    prices: Prices,
    names: Names,
):
    create(shell, shop, *STARTS)
    api = server.server._api
    complete, undecided = api._completed_plain, list[Any]()

    def fail_first(incoming: Any, asker: Any, body: bytes, completed: Completed) -> None:
        if len(undecided) < 3:
            undecided.append(incoming)
            completed = Completed(Answer(status, "the database did not answer"), 0)
        complete(incoming, asker, body, completed)

    server.call(lambda: setattr(api, "_completed_plain", fail_first))
    publish(channel, shop, b'"pot"', message_id="m-1")
    publish(channel, shop, b'"lid"', message_id="m-2")

    assert [result(worker, id) for id in ("orders:m-1", "orders:m-2")] == [3, 3]
    while channel.queue_declare(names.trigger_queue("orders"), passive=True).method.message_count:
        pass
    assert len(undecided) == 3
    assert sorted(prices.asked) == ["orders:m-1", "orders:m-2"]
    assert channel.queue_declare(names.dead_queue, passive=True).method.message_count == 0


@pytest.mark.parametrize("pattern", ["events-.*", "shop"])
async def test_the_server_says_which_exchanges_may_be_listened_to(
    config: Config, shop: str, rows: Rows, pattern: str
):
    allowed = IntegrationConfig(trigger_exchanges=pattern)
    data = {"id": "t", "exchange": shop, "routingKey": "k", "func": "f", "target": "g"}
    with ServerThread(replace(config, integration=allowed)):
        async with foreign_client(config.url, config.namespace) as client:
            answer = await client.ask("trigger.create", data)

    assert answer["head"]["status"] == 409
    assert "may not be listened to" in answer["data"]
    assert await rows.fetchval("select count(*) from triggers") == 0


def test_events_wait_while_no_server_runs(
    shell: Shell,
    channel: BlockingChannel,
    shop: str,
    server: ServerThread,
    start_server: Callable[[], ServerThread],
    worker: Resonate,
):
    create(shell, shop, *STARTS)
    server.stop()

    publish(channel, shop, b'"pot"', message_id="m-1", delivery_mode=2)
    start_server()

    assert result(worker, "orders:m-1") == 3


def test_all_servers_take_events_and_a_deleted_trigger_leaves_nothing(
    shell: Shell,
    channel: BlockingChannel,
    shop: str,
    start_server: Callable[[], ServerThread],
    names: Names,
    config: Config,
):
    start_server()
    create(shell, shop, *STARTS)
    assert "waiting" in shell("get", "orders")[1]
    queue = names.trigger_queue("orders")

    while channel.queue_declare(queue, passive=True).method.consumer_count < 2:
        pass
    code, listed = shell("list")
    assert (code, [found["id"] for found in listed["triggers"]]) == (0, ["orders"])
    assert [(each["waiting"], each["consumers"]) for each in listed["triggers"]] == [(0, 2)]
    assert shell("delete", "orders") == (0, {"id": "orders", "deleted": True})

    while shell("get", "orders")[0] != NOT_FOUND:
        pass
    with (
        pika.BlockingConnection(pika.URLParameters(config.url)) as connection,
        pytest.raises(ChannelClosedByBroker, match="NOT_FOUND"),
    ):
        connection.channel().queue_declare(queue, passive=True)
    channel.exchange_delete(shop, if_unused=True)  # nothing is bound to it
    channel.exchange_declare(shop, "topic", durable=True)
    create(shell, shop, *STARTS)


def test_a_connection_that_breaks_at_the_end_of_a_trigger_is_not_the_end_of_the_server(
    shell: Shell,
    shop: str,
    server: ServerThread,
    channel: BlockingChannel,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
):
    create(shell, shop, *STARTS)
    while (
        channel.queue_declare(names.trigger_queue("orders"), passive=True).method.consumer_count < 1
    ):
        pass
    broken: list[str] = []
    stop = Consumer.stop

    async def stop_once(consumer: Consumer) -> None:
        if consumer.queue == names.trigger_queue("orders") and not broken:
            broken.append(consumer.queue)
            raise ChannelInvalidStateError("writer is None")
        await stop(consumer)

    monkeypatch.setattr(Consumer, "stop", stop_once)

    assert shell("delete", "orders")[0] == 0
    while shell("get", "orders")[0] != NOT_FOUND:
        pass

    assert broken
    assert server.is_alive


REFUSE_TO_DELETE = """
    create function refuse() returns trigger language plpgsql as
        $$ begin raise 'the disk is full' using errcode = '53100'; end $$;
    create trigger refuse before delete on triggers execute function refuse()
"""


def wait_for(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Return when the server has logged this."""
    give_up_at_s = time.monotonic() + LOG_SECONDS_MAX
    while words not in caplog.text:
        assert time.monotonic() < give_up_at_s, f"nothing was logged about {words!r}"


def look_at_triggers(server: ServerThread) -> None:
    """Let the server look whether there are other triggers than before."""
    triggers, session = server.server._link._triggers, server.server._api._session
    assert triggers is not None
    assert session is not None
    server.run(triggers._look(session))


async def test_triggers_that_cannot_be_read_are_served_on(
    shell: Shell,
    channel: BlockingChannel,
    shop: str,
    worker: Resonate,
    names: Names,
    server: ServerThread,
    rows: Rows,
    caplog: pytest.LogCaptureFixture,
):
    await asyncio.to_thread(create, shell, shop, *STARTS)
    queue = names.trigger_queue("orders")
    while channel.queue_declare(queue, passive=True).method.consumer_count < 1:
        pass

    await rows.execute("alter table triggers rename to elsewhere")
    await asyncio.to_thread(wait_for, caplog, "triggers cannot be seen to")
    for _ in range(2):
        await asyncio.to_thread(look_at_triggers, server)
    assert caplog.text.count("triggers cannot be seen to") == 1
    publish(channel, shop, b'"pot"', message_id="m-1")

    assert await asyncio.to_thread(result, worker, "orders:m-1") == 3
    await rows.execute("alter table elsewhere rename to triggers")
    publish(channel, shop, b'"kettle"', message_id="m-2")
    assert await asyncio.to_thread(result, worker, "orders:m-2") == 6


async def test_a_trigger_that_cannot_be_removed_yet_is_tried_again_and_not_made_anew(
    shell: Shell,
    channel: BlockingChannel,
    shop: str,
    server: ServerThread,
    rows: Rows,
    caplog: pytest.LogCaptureFixture,
):
    await asyncio.to_thread(create, shell, shop, *STARTS)
    await rows.execute(REFUSE_TO_DELETE)

    assert (await asyncio.to_thread(shell, "delete", "orders"))[0] == 0
    await asyncio.to_thread(wait_for, caplog, "the disk is full")
    async with foreign_client(server.config.url, server.config.namespace) as client:
        data = {"id": "orders", "exchange": shop, "routingKey": "k", "func": "f", "target": "g"}
        again = await client.ask("trigger.create", data)

    assert again["head"]["status"] == 503
    assert "another trigger 'orders' is just being deleted" in again["data"]
    assert server.is_alive
    await rows.execute("drop trigger refuse on triggers")
    await rows.until("select count(*) from triggers", equals=0)


def test_triggers_are_served_when_a_broken_connection_is_replaced(
    shell: Shell,
    channel: BlockingChannel,
    shop: str,
    server: ServerThread,
    worker: Resonate,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(triggers, "BIND_INTERVAL_S", 3_600.0)
    create(shell, shop, *STARTS)
    queue = names.trigger_queue("orders")
    while channel.queue_declare(queue, passive=True).method.consumer_count < 1:
        pass
    channel.queue_unbind(queue, shop, "order.created")
    break_session(server)

    publish_when_bound(channel, shop, b'"pot"', message_id="m-1")

    assert result(worker, "orders:m-1") == 3


def test_there_are_not_more_triggers_than_may_be(
    shell: Shell, shop: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "TRIGGERS_MAX", 1)
    create(shell, shop, *STARTS)

    where = ("--exchange", shop, "--routing-key", "order.created")
    code, document = shell("create", "more", *where, *STARTS)

    assert code == REFUSED
    assert "there are 1 triggers, that is the limit" in document["error"]
    create(shell, shop, *STARTS)  # the one that is there


@pytest.mark.parametrize("existed", [False, True])
def test_an_exchange_that_goes_while_a_trigger_is_made_leaves_what_was_there_before(
    shell: Shell,
    channel: BlockingChannel,
    shop: str,
    monkeypatch: pytest.MonkeyPatch,
    existed: bool,
):
    if existed:
        create(shell, shop, *STARTS)
    look = Session.exchange_type

    async def look_and_lose(session: Session, name: str) -> str | None:
        found = await look(session, name)
        await (await session._control_channel()).exchange_delete(name)
        return found

    monkeypatch.setattr(Session, "exchange_type", look_and_lose)
    where = ("--exchange", shop, "--routing-key", "order.created")
    code, document = shell("create", "orders", *where, *STARTS)

    assert code == REFUSED
    assert "the queue cannot be bound: " in document["error"]
    while not existed and shell("get", "orders")[0] != NOT_FOUND:
        pass
    if existed:
        assert shell("get", "orders")[1]["is_ending"] is False


def test_an_exchange_that_is_deleted_and_made_again_is_bound_again(
    shell: Shell,
    channel: BlockingChannel,
    shop: str,
    worker: Resonate,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(triggers, "BIND_INTERVAL_S", 0.0)
    create(shell, shop, *STARTS)
    channel.exchange_delete(shop)
    channel.exchange_declare(shop, "topic", durable=True)

    publish_when_bound(channel, shop, b'"pot"', message_id="m-1")

    assert result(worker, "orders:m-1") == 3


@pytest.mark.parametrize("kind", ["headers", "x-none"])
def test_an_exchange_that_cannot_be_used_is_said(
    shell: Shell, channel: BlockingChannel, names: Names, kind: str
):
    name = f"other-{names.namespace}"
    reason = f"there is no exchange {name!r}"
    if kind == "headers":
        channel.exchange_declare(name, "headers", auto_delete=True)
        reason = f"exchange {name!r} is of the type 'headers'"

    code, document = shell(
        "create", "orders", "--exchange", name, "--routing-key", "order.created", *STARTS
    )

    assert (code, reason in document["error"]) == (REFUSED, True), document
    assert shell("get", "orders")[0] == NOT_FOUND


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("--exchange", "shop", "--settle"), USAGE, "--settle needs --promise-id"),
        (("--exchange", "shop", "--func", "f"), USAGE, "needs --func and --target, or --settle"),
        (
            ("--exchange", "shop", "--settle", "--promise-id", "p", "--key", "k"),
            USAGE,
            "--settle settles a promise: --key does not go with it",
        ),
        (
            ("--exchange", "shop", *STARTS, "--priority", "10", "--dry-run"),
            REFUSED,
            "a priority is a number from 0 to 9",
        ),
        (("--exchange", "", *STARTS), USAGE, "exchange is empty"),
        (
            ("--exchange", "shop", *STARTS, "--promise-id", "{{.payload.id}}"),
            REFUSED,
            "known are {{.message_id}}",
        ),
        (("--exchange", "{ns}.submit", *STARTS), REFUSED, "belongs to the server itself"),
    ],
)
def test_what_makes_no_trigger_is_said(
    shell: Shell, names: Names, arguments: tuple[str, ...], code: int, reason: str
):
    filled = [part.replace("{ns}", names.namespace) for part in arguments]

    ended, document = shell("create", "orders", "--routing-key", "k", *filled)

    assert (ended, reason in document["error"]) == (code, True), document


def test_creating_again_is_harmless_and_another_definition_is_told(shell: Shell, shop: str):
    create(shell, shop, *STARTS)
    create(shell, shop, *STARTS)

    where = ("--exchange", shop, "--routing-key", "order.other")
    code, document = shell("create", "orders", *where, *STARTS)

    assert (code, document["same"], document["routing_key"]) == (
        OTHER_STATE,
        False,
        "order.created",
    )
