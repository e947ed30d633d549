"""Clients in local mode, stopped when their test ends."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resonate_sdk import LocalServer, Resonate

MakeClient = Callable[..., Resonate]


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server inside this process, for the clients of one test."""
    server = LocalServer()
    yield server
    server.close()


@pytest.fixture
def make_client(server: LocalServer) -> Iterator[MakeClient]:
    """Clients that share the server."""
    clients: list[Resonate] = []

    def make(**keywords: Any) -> Resonate:
        client = Resonate.local(server=server, **keywords)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.stop(5)


@pytest.fixture
def resonate(make_client: MakeClient) -> Resonate:
    """A client."""
    return make_client()
