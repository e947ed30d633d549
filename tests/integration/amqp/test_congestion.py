"""C12: a broker that runs out of memory stops taking messages; nothing is lost, and all goes on."""

import asyncio
import shutil
import subprocess
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from resonate_broker import congestion
from resonate_broker.config import Config
from resonate_broker.dev import PrivateRabbitMQ
from resonate_broker.dev.rabbitmq import find_server
from resonate_sdk import Context, RemoteStore, Resonate
from tests.integration.amqp.foreign import (
    OK,
    create,
    foreign_client,
    request,
    settle,
    statuses,
    task_for,
)
from tests.integration.amqp.rows import Rows
from tests.integration.amqp.server import ServerThread
from tests.integration.conftest import Tables

GROUP = "billing"
CONTROL_SECONDS_MAX = 30
RESULT_SECONDS = 30
LEASE_SECONDS = 3  # so that a busy machine finds out in time that nothing is heard
LISTEN_SECONDS = 5  # a server that has listened for so long lets leases run out
COUNT_PROMISES = "select count(*) from promises"
WATERMARK = "0.4"  # the usual share of the memory of the machine

StartServer = Callable[[], ServerThread]


@pytest.fixture
def config(private_rabbitmq: PrivateRabbitMQ, tables: Tables) -> Config:
    return Config(url=private_rabbitmq.url, database_url=tables.url, namespace=tables.namespace)


def set_watermark(rabbitmq: PrivateRabbitMQ, share: str) -> None:
    beside = find_server().with_name("rabbitmqctl")
    program = beside if beside.exists() else Path(shutil.which("rabbitmqctl") or beside)
    subprocess.run(
        [program, "--quiet", "set_vm_memory_high_watermark", share],
        env=rabbitmq._environment(),
        check=True,
        timeout=CONTROL_SECONDS_MAX,
        stdout=subprocess.DEVNULL,
    )


@asynccontextmanager
async def memory_alarm(rabbitmq: PrivateRabbitMQ) -> AsyncGenerator[None]:
    """Whoever publishes meanwhile is blocked."""
    await asyncio.to_thread(set_watermark, rabbitmq, "0.0000001")
    try:
        yield
    finally:
        await asyncio.to_thread(set_watermark, rabbitmq, WATERMARK)


async def test_a_server_drains_the_queue_under_an_alarm_and_answers_when_it_is_over(
    config: Config, private_rabbitmq: PrivateRabbitMQ, start_server: StartServer, rows: Rows
):
    count = 500
    async with foreign_client(config.url, config.namespace) as client:
        start_server().stop()  # its queues stay
        await client.use_queue("me")
        requests = [request("promise.create", create("p"))]
        requests += [
            request("promise.register_listener", {"awaited": "p", "address": "amqp://uni@g/me"}),
            request("promise.settle", settle("p")),
        ]
        requests += [
            request("promise.create", create(f"t{number}", tags=task_for(GROUP)))
            for number in range(count)
        ]
        async with asyncio.TaskGroup() as sending:
            for one in requests:
                sending.create_task(client.send(one))

        async with memory_alarm(private_rabbitmq):
            start_server()
            await rows.until(COUNT_PROMISES, equals=count + 1)
            assert client.answers.is_empty

        answers: list[dict[str, Any]] = []
        news: list[dict[str, Any]] = []  # told again until the broker has confirmed them
        while len(answers) < len(requests) or not news:
            message = await client.answers.next_json()
            (news if message["kind"] == "notify" else answers).append(message)
        assert len(answers) == len(requests)
        assert set(statuses(answers)) == {OK}
        async with foreign_client(config.url, config.namespace) as worker:  # to whom no news come
            await worker.greet_as_worker(GROUP, "me")
        hints = await client.consume(client.names.task_queue(GROUP))
        found = {(await hints.next_json())["data"]["task"]["id"] for _ in range(count)}
        assert len(found) == count


async def test_plain_messages_are_drained_under_an_alarm_although_their_answers_wait(
    config: Config,
    private_rabbitmq: PrivateRabbitMQ,
    start_server: StartServer,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(congestion, "CONFIRM_TIMEOUT_S", 0.5)
    count = 200  # more than the server takes without acknowledging them
    headers = {"resonate-func": "f", "resonate-target": GROUP, "resonate-acknowledge": "true"}
    async with foreign_client(config.url, config.namespace) as client:
        start_server().stop()  # its queues stay
        await client.use_queue("me")
        async with asyncio.TaskGroup() as sending:
            for number in range(count):
                call = client.send(b"1", key="invoke", message_id=f"p{number}", headers=headers)
                sending.create_task(call)

        async with memory_alarm(private_rabbitmq):
            start_server()
            await rows.until(COUNT_PROMISES, equals=count, seconds=RESULT_SECONDS)
            assert client.answers.is_empty

        answers = [await client.answers.next() for _ in range(count)]
        assert {answer.type for answer in answers} == {"resonate.accepted"}


async def test_requests_that_are_sent_under_an_alarm_are_carried_out_when_it_is_over(
    config: Config, private_rabbitmq: PrivateRabbitMQ, start_server: StartServer, rows: Rows
):
    server = start_server()
    async with foreign_client(config.url, config.namespace) as client:
        await client.ask("promise.create", create("before"))
        async with asyncio.TaskGroup() as sending:
            async with memory_alarm(private_rabbitmq):
                for number in range(100):
                    body = request("promise.create", create(f"p{number}"))
                    sending.create_task(client.send(body))
                assert await rows.fetchval(COUNT_PROMISES) == 1

            answers = [await client.answers.next_json() for _ in range(100)]

        assert set(statuses(answers)) == {OK}
        assert await rows.fetchval(COUNT_PROMISES) == 101
        assert server.is_alive


async def test_calls_go_on_when_an_alarm_is_over(
    config: Config, private_rabbitmq: PrivateRabbitMQ, start_server: StartServer
):
    """One call is in the middle when the alarm comes, one is made under it."""
    start_server()
    begun, goes_on = threading.Event(), threading.Event()
    runs: list[str] = []

    def work(ctx: Context, name: str) -> str:
        runs.append(name)
        if name == "middle":
            begun.set()
            assert goes_on.wait(RESULT_SECONDS)
        return name

    remote: dict[str, Any] = {"url": config.url, "namespace": config.namespace}
    with (
        Resonate.remote(group=GROUP, **remote) as worker,
        Resonate(
            store=RemoteStore(config.url, timeout=RESULT_SECONDS),
            namespace=config.namespace,
            group="caller",
        ) as caller,
    ):
        worker.register(work, name="work")
        worker.start()
        call = caller.options(target=GROUP).begin_rpc
        middle = call("call-1", "work", "middle")
        assert await asyncio.to_thread(begun.wait, RESULT_SECONDS)

        async with memory_alarm(private_rabbitmq):
            under = call("call-2", "work", "under")
            goes_on.set()
            assert not under.done()
            assert not middle.done()

        results = [
            await asyncio.to_thread(handle.result, RESULT_SECONDS) for handle in (middle, under)
        ]
        after = await asyncio.to_thread(call("call-3", "work", "after").result, RESULT_SECONDS)

    assert (*results, after) == ("middle", "under", "after")
    assert runs == ["middle", "under", "after"]


async def test_an_alarm_that_outlasts_a_lease_does_not_take_the_task_away(
    config: Config, private_rabbitmq: PrivateRabbitMQ, start_server: StartServer, rows: Rows
):
    """The holder lives and beats, but the broker does not take its heartbeats: as C14."""
    start_server()
    begun, goes_on = threading.Event(), threading.Event()

    def work(ctx: Context) -> str:
        begun.set()
        assert goes_on.wait(RESULT_SECONDS)
        return "done"

    remote: dict[str, Any] = {"url": config.url, "namespace": config.namespace}
    with Resonate.remote(group=GROUP, ttl=LEASE_SECONDS, **remote) as worker:
        worker.register(work, name="work")
        handle = worker.begin_rpc("call", "work")
        assert await asyncio.to_thread(begun.wait, RESULT_SECONDS)
        count_given_back = "select count(*) from promises where task_state = 'pending'"
        seconds = LISTEN_SECONDS + 2 * LEASE_SECONDS

        async with memory_alarm(private_rabbitmq):
            with pytest.raises(TimeoutError):
                await rows.until(count_given_back, equals=1, seconds=seconds)
            goes_on.set()

        assert await asyncio.to_thread(handle.result, RESULT_SECONDS) == "done"
