"""What a program is told when there is nobody to talk to: one sentence, and what to do."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from resonate_sdk import RemoteStore, Resonate, ResonateError, TransportError

WAIT_S = 60


def leaf(ctx):
    return 1


class Ear(logging.Handler):
    """Hears what is said, until something is."""

    def __init__(self, wanted: str) -> None:
        super().__init__(logging.WARNING)
        self.wanted = wanted
        self.heard: list[str] = []
        self.is_said = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())
        if self.heard[-1].endswith(self.wanted):
            self.is_said.set()


@contextmanager
def listening(wanted: str) -> Generator[Ear]:
    logger, ear = logging.getLogger("resonate_sdk.amqp.transport"), Ear(wanted)
    logger.addHandler(ear)
    yield ear
    logger.removeHandler(ear)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"port": 1}, "nothing listens there (connection refused): start it, or correct the URL"),
        ({"host": "host.invalid"}, "the name of the host is unknown: correct the URL"),
        ({"password": "wrong"}, "wrong user name or password: correct the URL"),
        ({"vhost": "nowhere"}, "there is no such virtual host, or this user may not use it"),
    ],
    ids=["closed port", "unknown host", "wrong password", "missing vhost"],
)
def test_a_broker_that_cannot_be_reached(amqp_server, namespace, change, reason):
    given = urlsplit(amqp_server)
    password = change.get("password", given.password)
    host, port = change.get("host", given.hostname), change.get("port", given.port)
    place = f"{host}:{port}/{change.get('vhost', '')}"
    store = RemoteStore(f"amqp://{given.username}:{password}@{place}", timeout=0.1)

    sentence = f"cannot connect to amqp://{given.username}:***@{place}: {reason}"
    with (
        listening(sentence) as ear,
        Resonate(store=store, namespace=namespace, autostart=False) as client,
    ):
        function = client.register(leaf)
        client.start()
        assert ear.is_said.wait(WAIT_S)
        for call in (
            lambda: client.promises.get("x"),
            lambda: function.begin_rpc("x").created(WAIT_S),
            lambda: function.begin_run("x").result(WAIT_S),
        ):
            with pytest.raises(TransportError) as caught:
                call()
            assert str(caught.value).partition(" was not answered: ")[2] == sentence

    assert len(ear.heard) == len(set(ear.heard))  # once, however often it was tried


def test_a_stop_does_not_wait_for_a_broker_that_is_not_there():
    client = Resonate(url="amqp://127.0.0.1:1/", autostart=False)
    handle = client.register(leaf).begin_rpc("x")

    client.stop(timeout=0)

    with pytest.raises(ResonateError, match="the client was stopped"):
        handle.result(0)


def test_a_broker_without_a_server(amqp_server, namespace):
    store = RemoteStore(amqp_server, timeout=0.1)

    sentence = f"no server answers in namespace {namespace!r}: start one with `resonate serve`"
    with (
        listening(sentence) as ear,
        Resonate(store=store, namespace=namespace, autostart=False) as client,
    ):
        client.start()
        assert ear.is_said.wait(WAIT_S)
        with pytest.raises(TransportError) as caught:
            client.promises.get("x")
        assert str(caught.value) == f"promise.get of 'x' was not answered: {sentence}"
