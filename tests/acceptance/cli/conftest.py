"""A server that runs for all tests of the command line, and a way to run commands with it."""

import logging
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping

import pytest

from resonate_broker.dev import PrivateRabbitMQ
from tests.acceptance.cli.programs import (
    Finished,
    environment,
    run_here,
    serving,
    working,
)
from tests.databases import new_database
from tests.services import private_folder

Command = Callable[..., Finished]


@pytest.fixture(scope="session")
def place(amqp_server: str, postgres_server: str) -> Generator[Mapping[str, str]]:
    """The environment in which a server runs."""
    with new_database(postgres_server) as database_url:
        env = environment(
            RESONATE_URL=amqp_server,
            RESONATE_DATABASE_URL=database_url,
            RESONATE_NAMESPACE=f"cli-{secrets.token_hex(6)}",
        )
        assert run_here("migrate", env=env).code == 0
        with serving(env):
            yield env


@pytest.fixture(scope="session")
def group(place: Mapping[str, str]) -> Iterator[str]:
    """A group that has a worker."""
    with working("workers", place):
        yield "workers"


@pytest.fixture(scope="module")
def managed_rabbitmq() -> Generator[PrivateRabbitMQ]:
    """A private RabbitMQ with its management API."""
    with (
        private_folder() as folder,
        PrivateRabbitMQ(folder / "rabbitmq", has_management=True) as rabbitmq,
    ):
        yield rabbitmq
        rabbitmq.kill()  # there is nothing to put in order


@pytest.fixture(scope="module")
def managed_place(
    managed_rabbitmq: PrivateRabbitMQ, postgres_server: str
) -> Generator[Mapping[str, str]]:
    """The environment of a server and a worker of group `workers`, with the management API."""
    with new_database(postgres_server) as database_url:
        env = environment(
            RESONATE_URL=managed_rabbitmq.url,
            RESONATE_MANAGEMENT_URL=managed_rabbitmq.management_url,
            RESONATE_DATABASE_URL=database_url,
        )
        assert run_here("migrate", env=env).code == 0
        with serving(env), working("workers", env):
            yield env


@pytest.fixture
def managed(managed_place: Mapping[str, str]) -> Command:
    """Run a command where also the management API can be asked."""
    return lambda *arguments, **variables: run_here(*arguments, env={**managed_place, **variables})


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Client commands switch the log off, also those that run inside this process."""
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def resonate(place: Mapping[str, str]) -> Command:
    """Run a command where a server runs: inside this process, which takes a tenth of the time."""
    return lambda *arguments, **variables: run_here(*arguments, env={**place, **variables})


@pytest.fixture
def id() -> str:
    """An id that only this test knows."""
    return f"id-{secrets.token_hex(6)}"


@pytest.fixture
def empty_place(amqp_server: str, database_url: str, namespace: str) -> Mapping[str, str]:
    """The environment of an empty database and a namespace where no server has ever run."""
    return environment(
        RESONATE_URL=amqp_server,
        RESONATE_DATABASE_URL=database_url,
        RESONATE_NAMESPACE=namespace,
    )
