"""A server, a worker that serves functions, and services that know nothing of either."""

import threading
from collections.abc import Generator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from resonate_broker.config import Config
from resonate_sdk import Context, Never, Resonate
from resonate_sdk.protocol.topology import Names
from tests.integration.amqp.server import ServerThread

GROUP = "prices"


class Prices:
    """What the worker has done, and what it is waiting for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.has_begun = threading.Event()
        self.may_end = threading.Event()


@pytest.fixture
def prices() -> Prices:
    return Prices()


@pytest.fixture
def names(config: Config) -> Names:
    return Names(config.namespace)


@pytest.fixture
def worker(config: Config, server: ServerThread, prices: Prices) -> Generator[Resonate]:
    """Serves `price`, `refuse` and `wait`."""
    client = Resonate.remote(config.url, namespace=config.namespace, group=GROUP)

    def price(ctx: Context, item: str, count: int = 1) -> int:
        prices.asked.append(ctx.id)
        return len(item) * count

    def refuse(ctx: Context, item: str) -> int:
        raise LookupError(f"no {item} here")

    def wait(ctx: Context, item: str) -> str:
        prices.asked.append(ctx.id)
        prices.has_begun.set()
        assert prices.may_end.wait(60)
        return f"a {item} at last"

    client.register(price)
    client.register(refuse, retry_policy=Never())
    client.register(wait)
    client.start()
    yield client
    prices.may_end.set()
    client.stop()


@pytest.fixture
def channel(config: Config) -> Generator[BlockingChannel]:
    """A channel of pika."""
    with pika.BlockingConnection(pika.URLParameters(config.url)) as connection:
        yield connection.channel()
