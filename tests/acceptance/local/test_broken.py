"""A mistake of ours in the server inside the program: whoever calls is told at once."""

import pytest

from resonate_sdk import LocalServer, StoreError
from tests.acceptance.local.conftest import MakeClient

WAIT_S = 20.0


@pytest.fixture
def broken(server: LocalServer, monkeypatch):
    def begin(load):
        raise KeyError("lost")

    monkeypatch.setattr(server.broker._store, "begin", begin)
    return server


@pytest.mark.timeout(5)  # a call without an answer is given up after 10 s
def test_whoever_calls_is_told_at_once_what_has_happened(broken, make_client: MakeClient):
    client = make_client()

    @client.register
    def foo(ctx):
        return 1

    calls = [
        lambda: client.promises.create("p"),
        lambda: client.promises.get("p"),
        lambda: foo.begin_run("run").result(WAIT_S),
        lambda: foo.begin_rpc("rpc").result(WAIT_S),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="KeyError: 'lost'") as caught:
            call()
        assert caught.value.code == 500
        assert "\n" not in str(caught.value)


@pytest.mark.timeout(5)
def test_a_client_of_a_broken_server_can_be_stopped(broken, make_client: MakeClient):
    client = make_client()
    with pytest.raises(StoreError):
        client.promises.create("p")

    client.stop(5)


@pytest.mark.timeout(5)
def test_whoever_waits_already_is_told_at_once(
    server: LocalServer, make_client: MakeClient, monkeypatch
):
    client = make_client()
    handle = client.begin_rpc("waits", "nobody_has_it").created()

    def begin(load):
        raise KeyError("lost")

    monkeypatch.setattr(server.broker._store, "begin", begin)
    server.broker.tick()
    with pytest.raises(StoreError):
        client.promises.get("waits")

    with pytest.raises(StoreError, match="KeyError: 'lost'"):
        handle.result(WAIT_S)
