"""Fixtures for tests that need real servers; each is started when the first test asks for it."""

import gc
import secrets
from collections.abc import AsyncGenerator, Generator

import pytest
from hypothesis import HealthCheck, settings

from resonate_broker.dev import PrivatePostgres, PrivateRabbitMQ
from tests import services

# A machine that is slow, or busy, is no fault of what is tested.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """Let Python's collector of cycles leave alone what is there by now: all tests of all files."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres_server() -> Generator[str]:
    """The URL of a PostgreSQL server, whose user may create databases."""
    with services.postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def amqp_server() -> Generator[str]:
    """The URL of a RabbitMQ server; tests keep apart by their `namespace`."""
    with services.amqp_server() as url:
        yield url


@pytest.fixture
async def database_url(postgres_server: str) -> AsyncGenerator[str]:
    """The URL of an empty database that only this test knows."""
    async with services.database(postgres_server) as url:
        yield url


@pytest.fixture
def namespace() -> str:
    """A namespace that only this test knows."""
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture(scope="module")
def _module_postgres() -> Generator[PrivatePostgres]:
    with services.private_folder() as folder, PrivatePostgres(folder / "postgres") as server:
        yield server


@pytest.fixture(scope="module")
def _module_rabbitmq() -> Generator[PrivateRabbitMQ]:
    with services.private_folder() as folder, PrivateRabbitMQ(folder / "rabbitmq") as server:
        yield server


@pytest.fixture
def private_postgres(_module_postgres: PrivatePostgres) -> PrivatePostgres:
    """A PostgreSQL server to kill: private in any case, running, shared by the tests of a module."""
    _module_postgres.resume()
    _module_postgres.start()
    return _module_postgres


@pytest.fixture
def private_rabbitmq(_module_rabbitmq: PrivateRabbitMQ) -> PrivateRabbitMQ:
    """A RabbitMQ server to kill: private in any case, running, shared by the tests of a module."""
    _module_rabbitmq.resume()
    _module_rabbitmq.start()
    return _module_rabbitmq


@pytest.fixture
async def private_database_url(private_postgres: PrivatePostgres) -> str:
    """The URL of an empty database of the server to kill, which is thrown away with it."""
    return await services.create_database(private_postgres.url)
