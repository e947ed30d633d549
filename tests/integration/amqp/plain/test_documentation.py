"""The examples of the documentation, run as they are printed."""

import asyncio
import logging
import re
import shlex
import threading
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from pika.adapters.blocking_connection import BlockingChannel
from typer.testing import CliRunner

from resonate_broker.cli.program import app
from resonate_broker.config import Config, EventsConfig
from resonate_sdk import Context, Resonate, Workflow
from tests.integration.amqp.plain.test_triggers import result
from tests.integration.amqp.server import ServerThread
from tests.repository.sources import ROOT

SECONDS_MAX = 20
README = ROOT / "resonate_broker" / "integration" / "README.md"


def example(part: str, config: Config) -> str:
    """The snippet that has this in it, for the servers of this test."""
    snippets = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (found,) = [snippet for snippet in snippets if part in snippet]
    return found.replace("amqp://guest:guest@localhost:5672/", config.url).replace(
        '"resonate.', f'"{config.namespace}.'
    )


def test_the_client_of_the_tutorials(
    config: Config, server: ServerThread, capsys: pytest.CaptureFixture[str]
):
    with Resonate.remote(config.url, namespace=config.namespace, group="payments") as payments:

        def charge(ctx: Context, item: str) -> str:
            return f"charged for one {item}"

        payments.register(charge)
        payments.start()
        exec(
            compile(example('routing_key="invoke"', config), str(README), "exec"),
            {},
        )

    assert capsys.readouterr().out == "resolved charged for one teapot\n"


async def test_the_subscriber_that_is_a_step(config: Config, server: ServerThread):
    subscriber: dict[str, Any] = {}
    queue = f"{config.namespace}-price.quote"
    exec(named(example("from faststream", config), queue), subscriber)
    with Resonate.remote(config.url, namespace=config.namespace, group="orders") as resonate:
        workflow = named(example("amqp-exchange:///price.quote", config), queue)
        exec(workflow, {"resonate": resonate, "Context": Context, "Workflow": Workflow})
        resonate.start()

        async with subscriber["broker"] as broker:
            await broker.start()
            result = await asyncio.to_thread(resonate.run, "order-1", "order", "teapot")

    assert result == 9.0


def test_the_event_that_starts_an_execution(
    config: Config, server: ServerThread, channel: BlockingChannel
):
    exchange = f"{config.namespace}-shop"
    channel.exchange_declare(exchange, "topic", auto_delete=True)
    (commands,) = re.findall(
        r"```sh\n(resonate triggers create.*?)```", README.read_text(), re.DOTALL
    )
    for command in commands.replace("\\\n", "").splitlines()[:2]:
        arguments = shlex.split(command.replace("--exchange shop", f"--exchange {exchange}"))[1:]
        environment = {"RESONATE_URL": config.url, "RESONATE_NAMESPACE": config.namespace}
        ended = CliRunner().invoke(app, arguments, env=environment)
        logging.disable(logging.NOTSET)  # commands keep quiet, but they end with their process
        assert ended.exit_code == 0, ended.stderr
    with Resonate.remote(config.url, namespace=config.namespace, group="orders") as orders:

        def fulfil(ctx: Context, order: dict[str, Any]) -> str:
            return f"a {order['item']} for {ctx.id}"

        orders.register(fulfil)
        orders.start()
        snippet = example('exchange="shop"', config)
        exec(compile(snippet.replace('"shop"', f'"{exchange}"'), str(README), "exec"), {})

        assert result(orders, "order-17") == "a teapot for order-17"


def test_the_subscriber_of_what_happens(config: Config, capfd: pytest.CaptureFixture[str]):
    """It is a program of its own: it waits for what we do meanwhile."""
    snippet = compile(example("queue_bind", config), str(README), "exec")
    with (
        ServerThread(replace(config, events=EventsConfig(enabled=True))),
        Resonate.remote(config.url, namespace=config.namespace, group="payments") as payments,
    ):

        def charge(ctx: Context) -> None: ...

        payments.register(charge)
        payments.start()
        subscriber = threading.Thread(target=exec, args=(snippet, {}), daemon=True)
        subscriber.start()
        number = 0
        while subscriber.is_alive():  # what is told before it listens is gone
            number += 1
            payments.run(f"charge-{number}", charge)

    assert re.fullmatch(r"charge-\d+ resolved\n", capfd.readouterr().out)


def named(snippet: str, queue: str) -> Any:
    """A snippet with a queue that only this test uses."""
    return compile(snippet.replace("price.quote", queue), str(README), "exec")


def test_the_order_in_a_transaction_of_the_application(config: Config, server: ServerThread):
    with (
        Resonate.remote(config.url, namespace=config.namespace, group="payments") as payments,
        psycopg.connect(config.database_url, autocommit=True) as connection,
    ):

        def charge(ctx: Context, item: str) -> str:
            return f"charged for one {item}"

        payments.register(charge)
        payments.start()
        connection.execute("create table orders (id text, item text)")
        program = example("import psycopg", config)
        for text, own in (
            ("postgresql://localhost:5432/resonate", config.database_url),
            ("resonate.submit", f'\\"{config.namespace}\\".submit'),
        ):
            assert text in program
            program = program.replace(text, own)

        exec(compile(program, str(README), "exec"), {})

        assert payments.get("charge-46").result(SECONDS_MAX) == "charged for one teapot"
        assert connection.execute("select id from orders").fetchall() == [("order-46",)]
