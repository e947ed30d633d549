"""What a program is told when there is nobody to talk to: one sentence, and what to do."""

import logging
from urllib.parse import urlsplit

import pytest

from resonate_sdk import RemoteStore, Resonate, ResonateError, TransportError


def leaf(ctx):
    return 1


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
def test_a_broker_that_cannot_be_reached(amqp_server, namespace, change, reason, caplog):
    given = urlsplit(amqp_server)
    password = change.get("password", given.password)
    host, port = change.get("host", given.hostname), change.get("port", given.port)
    place = f"{host}:{port}/{change.get('vhost', '')}"
    store = RemoteStore(f"amqp://{given.username}:{password}@{place}", timeout=0.1)

    with (
        caplog.at_level(logging.WARNING),
        Resonate(store=store, namespace=namespace, autostart=False) as client,
    ):
        function = client.register(leaf)
        for call in (
            lambda: client.promises.get("x"),
            lambda: function.begin_rpc("x").created(60),
            lambda: function.begin_run("x").result(60),
        ):
            with pytest.raises(TransportError) as caught:
                call()
            assert str(caught.value).partition(" was not answered: ")[2] == (
                f"cannot connect to amqp://{given.username}:***@{place}: {reason}"
            )

    said = [record for record in caplog.records if "not connected" in record.message]
    assert len(said) == 1  # however often it was tried


def test_a_stop_does_not_wait_for_a_broker_that_is_not_there():
    client = Resonate(url="amqp://127.0.0.1:1/", autostart=False)
    handle = client.register(leaf).begin_rpc("x")

    client.stop(timeout=0)

    with pytest.raises(ResonateError, match="the client was stopped"):
        handle.result(0)


def test_a_broker_without_a_server(amqp_server, namespace):
    store = RemoteStore(amqp_server, timeout=0.1)

    with Resonate(store=store, namespace=namespace, autostart=False) as client:
        with pytest.raises(TransportError) as caught:
            client.promises.get("x")
        assert str(caught.value) == (
            f"promise.get of 'x' was not answered: no server answers in namespace {namespace!r}: "
            "start one with `resonate serve`"
        )
