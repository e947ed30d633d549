"""The management API as far as it does not need a broker: accounts, and what goes wrong."""

import base64
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from resonate_broker.cli import management as module
from resonate_broker.cli.management import ManagementError, management_of
from resonate_broker.config import Config

SECRET = "s3cret"
Serve = Callable[[int, bytes], AbstractContextManager[tuple[str, list[tuple[str, str]]]]]


@pytest.fixture
def serve() -> Serve:
    """Answers every request alike, and notes path and account."""

    @contextmanager
    def serving(status: int, body: bytes) -> Generator[tuple[str, list[tuple[str, str]]]]:
        asked = list[tuple[str, str]]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                account = base64.b64decode(self.headers["Authorization"].removeprefix("Basic "))
                asked.append((self.path, account.decode()))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield f"127.0.0.1:{server.server_port}", asked
            server.shutdown()
            thread.join()

    return serving


@pytest.mark.parametrize(
    ("url", "account", "vhost"),
    [
        ("amqp://u:p%40ss@rabbit/", "u:p@ss", "%2F"),
        ("amqp://rabbit:5672/my%2Fhost", "guest:guest", "my%2Fhost"),
        ("amqps://u:p@rabbit/shop", "u:p", "shop"),
    ],
)
def test_the_account_and_the_virtual_host_are_those_of_the_broker(serve, url, account, vhost):
    with serve(200, b"[]") as (place, asked):
        management = management_of(Config(url=url, management_url=f"http://{place}/rabbit/"))

        assert management.consumers() == ()

    assert asked == [(f"/rabbit/api/consumers/{vhost}", account)]


def test_an_account_of_its_own_comes_first(serve):
    with serve(200, b'{"rabbitmq_version": "4.1.0", "later": 1}') as (place, asked):
        overview = management_of(Config(management_url=f"http://op:pw@{place}")).overview()

    assert overview.rabbitmq_version == "4.1.0"
    assert asked == [("/api/overview", "op:pw")]


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, b"", "it refuses this user: the password is wrong, or the tag"),
        (403, b"", "it refuses this user"),
        (404, b"", "it answers 404 Not Found"),
        (200, b"<html>", "its answer to overview is not understood"),
        (200, b"[]", "its answer to overview is not understood"),
        (200, b"x" * 101, "its answer has more than 100 bytes"),
    ],
)
def test_an_answer_of_no_use_is_told_without_the_password(serve, status, body, reason, monkeypatch):
    monkeypatch.setattr(module, "BYTES_MAX", 100)
    with serve(status, body) as (place, _):
        management = management_of(Config(management_url=f"http://op:{SECRET}@{place}"))

        with pytest.raises(ManagementError) as caught:
            management.overview()

    assert f"the management API at http://op:***@{place} cannot be used: {reason}" in str(
        caught.value
    )
    assert SECRET not in str(caught.value)


def test_who_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        management = management_of(
            Config(management_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        )

        with pytest.raises(ManagementError, match="it does not answer"):
            management.nodes()


def test_a_closed_port_hints_at_the_plugin():
    management = management_of(Config(management_url="http://127.0.0.1:1"))

    with pytest.raises(ManagementError, match="is the plugin rabbitmq_management enabled"):
        management.nodes()


def test_without_a_url_nothing_is_asked():
    with pytest.raises(ManagementError, match="no management API is given"):
        management_of(Config())
