"""A server of a namespace of its own, over real RabbitMQ and PostgreSQL."""

from collections.abc import Generator

import pytest

from resonate_broker.config import Config
from tests.integration.amqp.server import ServerThread
from tests.integration.conftest import Tables


@pytest.fixture
def server(amqp_server: str, tables: Tables) -> Generator[ServerThread]:
    config = Config(url=amqp_server, database_url=tables.url, namespace=tables.namespace)
    with ServerThread(config) as server:
        yield server
