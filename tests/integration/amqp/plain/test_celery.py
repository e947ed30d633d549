"""Tasks of a Celery worker as durable steps, and a Celery producer that starts executions."""

# pyright: reportMissingTypeStubs=false

import os
import secrets
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pika
import psycopg
import pytest
from celery import Celery
from celery.result import AsyncResult
from kombu import pools
from msgspec.structs import replace
from pika.adapters.blocking_connection import BlockingChannel
from psycopg.types.json import Jsonb

from resonate_broker.config import Config, IntegrationConfig
from resonate_sdk import Context, Resonate, Workflow
from resonate_sdk.protocol.topology import Names
from tests.integration.amqp.plain.conftest import GROUP, Prices
from tests.integration.amqp.plain.documented import program, worker as documented_worker
from tests.integration.amqp.plain.test_submit import take
from tests.integration.amqp.plain.test_triggers import result
from tests.integration.amqp.server import ServerThread
from tests.processes import wait_until

TASKS = "tests.integration.amqp.plain.celery_tasks"
READY_SECONDS = 60
SECONDS_MAX = 30


@pytest.fixture(scope="module")
def celery_queue(amqp_server: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The queue of a worker of Celery, which is a process of its own."""
    queue = f"celery-{secrets.token_hex(6)}"
    log: Path = tmp_path_factory.mktemp("celery") / "log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [
                sys.executable, "-m", "celery", "-A", TASKS, "worker", "--pool", "solo",
                "--loglevel", "info", "--without-gossip", "--without-mingle",
            ],
            env=os.environ | {"RESONATE_URL": amqp_server, "SHOP_QUEUE": queue},
            stdout=output,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        ready = wait_until(lambda: b" ready." in log.read_bytes(), seconds=READY_SECONDS)
        assert ready, log.read_text()
        yield queue
    finally:
        worker.terminate()
        worker.wait(READY_SECONDS)


@pytest.fixture
def config(config: Config) -> Config:
    """Of a server that tells the result backends of producers."""
    return replace(config, integration=IntegrationConfig(reply_to="[0-9a-f-]{36}"))


@pytest.fixture
def orders(config: Config, server: ServerThread, celery_queue: str) -> Generator[Resonate]:
    """Serves workflows whose steps are tasks of Celery."""
    target = f"celery://{celery_queue}"
    with Resonate.remote(config.url, namespace=config.namespace, group="orders") as client:

        def order(ctx: Context, item: str) -> Workflow[Any]:
            price = yield ctx.rpc("shop.price", item, count=2).options(target=target)
            return {"price": price}

        def refused(ctx: Context, item: str) -> Workflow[Any]:
            return (yield ctx.rpc("shop.refuse", item).options(target=target))

        client.register(order)
        client.register(refused)
        client.start()
        yield client


@pytest.fixture
def producer(config: Config) -> Generator[Celery]:
    """An application that has moved one of its tasks to us."""
    app = Celery("shop", broker=config.url, backend="rpc://")
    where = {"exchange": Names(config.namespace).submit, "routing_key": "invoke"}
    app.conf.task_routes = {"*": {**where, "headers": {"resonate-target": GROUP}}}
    yield app
    disconnect(app)


def disconnect(app: Any) -> None:
    """Close what an application leaves open when it is closed."""
    waiting = getattr(app.backend, "result_consumer", None)
    if waiting is not None and waiting._connection is not None:
        waiting.stop()
    pools.reset()  # they belong to the process
    app.close()


def test_a_task_of_celery_is_a_step(orders: Resonate):
    assert orders.run("order-1", "order", "pot") == {"price": 6}


def test_a_task_that_is_tried_again_settles_its_step_in_the_end(
    orders: Resonate, celery_queue: str
):
    """Celery sends it again, and then its result, with an id of its own making."""
    call = orders.options(target=f"celery://{celery_queue}").begin_rpc(
        "reserve-1", "shop.reserve", "pot"
    )

    assert call.result() == "pot at attempt 2 of reserve-1"


def test_a_task_may_be_left_in_a_transaction_of_an_application(
    orders: Resonate, celery_queue: str, config: Config
):
    statement = f'select "{config.namespace}".submit(%s, %s, %s, %s)'.encode()
    with psycopg.connect(config.database_url) as connection:
        connection.execute(
            statement, ("price-1", "shop.price", f"celery://{celery_queue}", Jsonb(["pot", 2]))
        )

    assert result(orders, "price-1") == 6


def test_a_task_that_fails_rejects_its_step_even_if_it_ignores_results(orders: Resonate):
    with pytest.raises(LookupError, match="no pot here"):
        orders.run("order-1", "refused", "pot")


def test_a_producer_of_celery_starts_an_execution_and_gets_its_result(
    worker: Resonate, producer: Celery, prices: Prices
):
    first = producer.send_task("price", args=["pot"], kwargs={"count": 2}, task_id="order-1")
    assert first.get(timeout=SECONDS_MAX) == 6
    first.forget()

    again = producer.send_task("price", args=["kettle"], task_id="order-1")

    assert again.get(timeout=SECONDS_MAX) == 6  # one id is one execution
    assert prices.asked == ["order-1"]
    assert result(worker, "order-1") == 6


def test_the_step_and_the_producer_of_the_documentation(
    config: Config,
    server: ServerThread,
    celery_queue: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("RESONATE_URL", config.url)
    monkeypatch.setenv("RESONATE_NAMESPACE", config.namespace)
    with documented_worker(
        "celery://celery", ("celery://celery", f"celery://{celery_queue}")
    ) as sums:
        assert sums.run("sum-1", "total", "teapot") == 12

        scope: dict[str, Any] = {}
        exec(program("task_routes", ("resonate.submit", Names(config.namespace).submit)), scope)
        id = capsys.readouterr().out.strip()
        with Resonate(group="payments") as payments:
            payments.register(lambda ctx, item: f"charged for one {item}", name="charge")
            payments.start()

            assert result(sums, id) == "charged for one teapot"
        disconnect(scope["app"])


def test_a_failure_is_raised_where_celery_raises_it(worker: Resonate, producer: Celery):
    failing: AsyncResult = producer.send_task("refuse", args=["pot"])

    with pytest.raises(Exception, match="no pot here") as error:
        failing.get(timeout=SECONDS_MAX)
    assert type(error.value).__name__ == "LookupError"


def test_what_cannot_be_done_is_told_to_the_producer(worker: Resonate, producer: Celery):
    chained: AsyncResult = producer.send_task(
        "price", args=["pot"], chain=[producer.signature("price")]
    )

    with pytest.raises(Exception, match="the task has chain"):
        chained.get(timeout=SECONDS_MAX)


def test_a_producer_may_compress_its_messages(worker: Resonate, producer: Celery):
    sent = producer.send_task("price", args=["pot"], compression="gzip")

    assert sent.get(timeout=SECONDS_MAX) == 3


def test_a_producer_without_a_result_backend_starts_executions_too(
    worker: Resonate, producer: Celery, config: Config
):
    app = Celery("shop", broker=config.url)
    app.conf.task_routes = producer.conf.task_routes
    app.send_task("price", args=["pot"], task_id="order-1")

    assert result(worker, "order-1") == 3
    disconnect(app)


def test_a_task_that_cannot_be_read_and_not_be_answered_is_a_dead_letter(
    server: ServerThread, channel: BlockingChannel, names: Names
):
    headers = {"task": "price", "id": "order-1", "resonate-target": GROUP}
    properties = pika.BasicProperties(headers=headers)
    channel.basic_publish(names.submit, "invoke", b"pickled", properties)

    letter, body = take(channel, names.dead_queue)

    assert body == b"pickled"
    assert "task_serializer = 'json'" in letter.headers["resonate-reason"]
