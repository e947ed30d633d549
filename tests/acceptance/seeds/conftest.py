"""Two worlds in which the snippets run: local mode, and a server behind RabbitMQ."""

import asyncio
import secrets
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from resonate_sdk import LocalServer, Resonate
from resonate_store.postgres.migrate import migrate
from tests.acceptance.cli.programs import environment, serving
from tests.databases import new_database

STOP_S = 5

MakeClient = Callable[..., Resonate]
Place = Mapping[str, str]


@pytest.fixture(scope="module")
def place(amqp_server: str, postgres_server: str) -> Generator[Place]:
    """The environment in which a server runs, as long as the file needs it: it costs time idly, too."""
    with _server(amqp_server, postgres_server) as place:
        yield place


@pytest.fixture(scope="module")
def second_place(amqp_server: str, postgres_server: str) -> Generator[Place]:
    """Another one: two snippets use the same id for different things."""
    with _server(amqp_server, postgres_server) as place:
        yield place


@pytest.fixture(params=["local", "amqp"])
def make_client(request: pytest.FixtureRequest) -> Generator[MakeClient]:
    """Clients of one server, stopped when their test ends."""
    with _clients(request, "place") as make:
        yield make


@pytest.fixture(params=["local", "amqp"])
def make_other_client(request: pytest.FixtureRequest) -> Generator[MakeClient]:
    """Clients of the second place."""
    with _clients(request, "second_place") as make:
        yield make


@contextmanager
def _server(amqp_url: str, postgres_url: str) -> Generator[Place]:
    with new_database(postgres_url) as database_url:
        place = environment(
            RESONATE_URL=amqp_url,
            RESONATE_DATABASE_URL=database_url,
            RESONATE_NAMESPACE=f"seeds-{secrets.token_hex(6)}",
        )
        asyncio.run(migrate(database_url, place["RESONATE_NAMESPACE"]))
        with serving(place):
            yield place


@contextmanager
def _clients(request: pytest.FixtureRequest, place_name: str) -> Generator[MakeClient]:
    with ExitStack() as stack:
        keywords: dict[str, Any]
        if request.param == "local":
            server = LocalServer()
            stack.callback(server.close)
            keywords = {"server": server}
        else:
            place: Place = request.getfixturevalue(place_name)
            keywords = {"url": place["RESONATE_URL"], "namespace": place["RESONATE_NAMESPACE"]}

        def make(group: str = "default", **more: Any) -> Resonate:
            client = Resonate(group=group, **keywords, **more)
            stack.callback(client.stop, STOP_S)
            return client

        yield make
