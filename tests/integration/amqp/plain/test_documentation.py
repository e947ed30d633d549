"""The programs and commands of the documentation, run as they are printed."""

import asyncio
import re
import shlex
import threading
from collections.abc import Generator
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from pika.adapters.blocking_connection import BlockingChannel
from typer.testing import CliRunner

from resonate_broker.cli.program import app
from resonate_broker.config import Config, EventsConfig
from resonate_sdk import Resonate
from tests import logs
from tests.integration.amqp.plain.documented import PROGRAMS, README, program, worker
from tests.integration.amqp.plain.test_triggers import result
from tests.integration.amqp.server import ServerThread
from tests.repository.sources import ROOT

FIRST_PAGE = ROOT / "README.md"


@pytest.fixture(autouse=True)
def terminal(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody has pasted what `resonate dev` prints."""
    monkeypatch.setenv("RESONATE_URL", config.url)
    monkeypatch.setenv("RESONATE_DATABASE_URL", config.database_url)
    monkeypatch.setenv("RESONATE_NAMESPACE", config.namespace)


@pytest.fixture
def payments(server: ServerThread) -> Generator[Resonate]:
    """The worker of the first page."""
    programs = re.findall(r"```python\n(.*?)```", FIRST_PAGE.read_text(), re.DOTALL)
    (printed,) = [program for program in programs if "def charge" in program and "serve" in program]
    scope: dict[str, Any] = {}
    exec(printed.replace("resonate.serve()", "resonate.start()"), scope)
    with scope["resonate"] as client:
        yield client


def typed(command: str) -> str:
    """What a command prints that ends well."""
    with logs.restored():
        ended = CliRunner().invoke(app, shlex.split(command)[1:])
    assert ended.exit_code == 0, ended.stderr
    return ended.stdout


def in_namespace(config: Config, *names: str) -> list[tuple[str, str]]:
    """Names that begin with the usual namespace, with that of this test."""
    return [(f'"resonate.{name}"', f'"{config.namespace}.{name}"') for name in names]


def test_the_client_of_the_tutorials(
    config: Config, payments: Resonate, capsys: pytest.CaptureFixture[str]
):
    exec(program('routing_key="invoke"', *in_namespace(config, "submit")), {})

    assert capsys.readouterr().out == "resolved charged for one teapot\n"


async def test_the_subscriber_that_is_a_step(config: Config, server: ServerThread):
    own = ("price.quote", f"{config.namespace}-price.quote")
    prices: dict[str, Any] = {}
    exec(program("from faststream", own), prices)
    orders = worker("amqp-exchange:///price.quote", own)

    async with prices["broker"] as broker:
        await broker.start()
        result = await asyncio.to_thread(orders.run, "order-1", "order", "teapot")
    await asyncio.to_thread(orders.stop)

    assert result == 9.0


def test_the_event_that_starts_an_execution(
    config: Config, server: ServerThread, channel: BlockingChannel
):
    own = f"{config.namespace}-shop"
    publishes = program('"order.created"', ('"shop"', f'"{own}"'))
    exec(publishes, {})
    (commands,) = re.findall(
        r"```sh\n(resonate triggers create.*?)```", README.read_text(), re.DOTALL
    )

    for command in commands.replace("\\\n", "").splitlines()[:2]:
        typed(command.replace("--exchange shop", f"--exchange {own}").partition(" #")[0])
    with worker('group="warehouse"') as warehouse:
        exec(publishes, {})

        assert result(warehouse, "order-17") == "a teapot for order-17"
    channel.exchange_delete(own)


def test_the_subscriber_of_what_happens(config: Config, capfd: pytest.CaptureFixture[str]):
    """It is a program of its own: it waits for what we do meanwhile."""
    listens = program("queue_bind", *in_namespace(config, "events"))
    with (
        ServerThread(replace(config, events=EventsConfig(enabled=True))),
        Resonate(group="payments") as payments,
    ):
        payments.register(lambda ctx: None, name="charge")
        payments.start()
        subscriber = threading.Thread(target=exec, args=(listens, {}), daemon=True)
        subscriber.start()
        number = 0
        while subscriber.is_alive():  # what is told before it listens is gone
            number += 1
            payments.run(f"charge-{number}", "charge")

    assert re.fullmatch(r"charge-\d+ resolved\n", capfd.readouterr().out)


def test_the_orders_in_transactions_of_the_application(config: Config, payments: Resonate):
    exec(program("import psycopg", ("resonate.submit", f'\\"{config.namespace}\\".submit')), {})

    (printed,) = re.findall(r"```sql\n(.*?)```", FIRST_PAGE.read_text(), re.DOTALL)
    with psycopg.connect(config.database_url, autocommit=True) as connection:
        sql: Any = printed.replace("resonate.submit", f'"{config.namespace}".submit')
        connection.execute(sql)
        saved = connection.execute("select id from orders order by id").fetchall()

    assert saved == [("order-46",), ("order-47",)]
    for id in ("charge-46", "charge-47"):
        assert result(payments, id) == "charged for one teapot"


def test_every_program_is_run_by_a_test():
    """Those of Celery are run beside its worker."""
    parts = (
        'routing_key="invoke"',
        "import psycopg",
        "from faststream",
        "amqp-exchange:///price.quote",
        'name="shop.price"',
        "celery://celery",
        "task_routes",
        '"order.created"',
        'group="warehouse"',
        "queue_bind",
    )

    assert [part for part in parts if sum(part in text for text in PROGRAMS) != 1] == []
    assert len(PROGRAMS) == len(parts)
