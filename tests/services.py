"""Where the tests get PostgreSQL and RabbitMQ from.

In this order: the server that an environment variable names, a private one from the programs of
this machine, a container. The first way that works is taken. When none does, the tests fail and say
what is wrong with each.
"""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from resonate_broker.dev import InstanceError, PrivatePostgres, PrivateRabbitMQ
from tests.databases import drop_database

POSTGRES_VARIABLE = "RESONATE_TEST_POSTGRES_URL"
AMQP_VARIABLE = "RESONATE_TEST_AMQP_URL"
POSTGRES_IMAGE = "postgres:17"
RABBITMQ_IMAGE = "rabbitmq:4"
POSTGRES_PORT = 5432
AMQP_PORT = 5672
CONNECT_SECONDS_MAX = 5
CONTAINER_SECONDS_MAX = 120

Way = Callable[[], AbstractContextManager[str]]
"""Gives the URL of a server for the length of a `with`, or raises one of NO_SERVER."""


class NoServerError(Exception):
    """There is no server this way, and the message says why."""


NO_SERVER = (NoServerError, InstanceError)


def postgres_server() -> AbstractContextManager[str]:
    ways: dict[str, Way] = {
        "given": lambda: _given(POSTGRES_VARIABLE, POSTGRES_PORT),
        "private": lambda: _private(PrivatePostgres),
        "container": _postgres_container,
    }
    return _first_that_works("PostgreSQL", ways)


def amqp_server() -> AbstractContextManager[str]:
    ways: dict[str, Way] = {
        "given": lambda: _given(AMQP_VARIABLE, AMQP_PORT),
        "private": lambda: _private(PrivateRabbitMQ),
        "container": _rabbitmq_container,
    }
    return _first_that_works("RabbitMQ", ways)


async def create_database(server_url: str) -> str:
    """Create an empty database with a name of its own; return its URL."""
    name = f"test_{secrets.token_hex(6)}"
    await _execute(server_url, f"CREATE DATABASE {name} TEMPLATE template0")
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


@asynccontextmanager
async def database(server_url: str) -> AsyncGenerator[str]:
    """Lend an empty database; who is still connected at the end is disconnected."""
    url = await create_database(server_url)
    yield url
    await drop_database(server_url, url)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def private_folder() -> Generator[Path]:
    """Make a folder that other users may pass: root runs PostgreSQL as one of them."""
    folder = Path(tempfile.mkdtemp(prefix="resonate-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _first_that_works(name: str, ways: Mapping[str, Way]) -> Generator[str]:
    reasons = [f"no {name} for the tests"]
    with ExitStack() as stack:
        for label, way in ways.items():
            try:
                url = stack.enter_context(way())
            except NO_SERVER as error:
                reasons.append(f"{label}: {error}")
                continue
            yield url
            return
    pytest.fail("\n  ".join(reasons), pytrace=False)


@contextmanager
def _given(variable: str, usual_port: int) -> Generator[str]:
    url = os.environ.get(variable)
    if not url:
        raise NoServerError(f"{variable} is not set")
    # Who names a server means that server: if it does not answer, no other one may stand in.
    parts = urlsplit(url)
    address = (parts.hostname, parts.port or usual_port)
    try:
        socket.create_connection(address, CONNECT_SECONDS_MAX).close()
    except OSError as error:
        pytest.fail(f"no server where {variable} says: {error}", pytrace=False)
    yield url


@contextmanager
def _private(kind: type[PrivatePostgres] | type[PrivateRabbitMQ]) -> Generator[str]:
    with private_folder() as folder, kind(folder / "server") as server:
        yield server.url


# testcontainers is imported where it is used: it takes half a second, and most runs never need it.


@contextmanager
def _postgres_container() -> Generator[str]:
    from testcontainers.community.postgres import PostgresContainer

    with ExitStack() as stack:
        with _docker_refusals():
            container = stack.enter_context(PostgresContainer(POSTGRES_IMAGE, driver=None))
        yield container.get_connection_url()


@contextmanager
def _rabbitmq_container() -> Generator[str]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    # Not testcontainers' own RabbitMqContainer: it imports pika, and warns when it is imported.
    started = LogMessageWaitStrategy("Server startup complete")
    started.with_startup_timeout(CONTAINER_SECONDS_MAX)
    with ExitStack() as stack:
        with _docker_refusals():
            container = DockerContainer(RABBITMQ_IMAGE).with_exposed_ports(AMQP_PORT)
            stack.enter_context(container.waiting_for(started))
        host = container.get_container_host_ip()
        yield f"amqp://guest:guest@{host}:{container.get_exposed_port(AMQP_PORT)}/"


@contextmanager
def _docker_refusals() -> Generator[None]:
    from docker.errors import DockerException

    try:
        yield
    except (DockerException, TimeoutError) as error:
        raise NoServerError(str(error)) from error
