"""A server of a namespace of its own, and clients that know nothing of our SDK."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Generator

import asyncpg
import pytest

from resonate_broker.config import Config
from resonate_sdk.amqp.session import Session, open_session
from resonate_store.postgres import settings
from resonate_store.postgres.migrate import migrate
from tests.integration.amqp.foreign import ForeignClient, foreign_client
from tests.integration.amqp.rows import Rows
from tests.integration.amqp.server import ServerThread
from tests.integration.conftest import Tables


@pytest.fixture
def config(amqp_server: str, tables: Tables) -> Config:
    return Config(url=amqp_server, database_url=tables.url, namespace=tables.namespace)


@pytest.fixture
def start_server(config: Config) -> Generator[Callable[[], ServerThread]]:
    """Starts a server; those that run at the end are stopped."""
    started: list[ServerThread] = []

    def start() -> ServerThread:
        started.append(ServerThread(config))
        return started[-1].start()

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def server(start_server: Callable[[], ServerThread]) -> ServerThread:
    return start_server()


@pytest.fixture
async def session(amqp_server: str) -> AsyncGenerator[Session]:
    """One of our own, without a server."""
    async with open_session(amqp_server, name="test", heartbeat_s=10) as session:
        yield session


@pytest.fixture
async def rows(tables: Tables) -> AsyncGenerator[Rows]:
    search_path = {"search_path": settings.quoted(tables.namespace)}
    connection = await asyncpg.connect(tables.url, server_settings=search_path)
    yield Rows(connection)
    await connection.close()


@pytest.fixture(scope="module")
def module_server(amqp_server: str, module_database: str) -> Generator[ServerThread]:
    """One for all tests of a module, which must not stop it."""
    namespace = f"test-{secrets.token_hex(6)}"
    asyncio.run(migrate(module_database, namespace))
    config = Config(url=amqp_server, database_url=module_database, namespace=namespace)
    with ServerThread(config) as server:
        yield server


@pytest.fixture
async def client(server: ServerThread) -> AsyncGenerator[ForeignClient]:
    async with foreign_client(server.config.url, server.config.namespace) as client:
        yield client
