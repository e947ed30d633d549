"""The port of a worker: what it tells Prometheus and probes while it works, and while it cannot."""

import socket
from collections.abc import Generator

import pytest

from resonate_broker.dev.ports import free_port
from resonate_sdk import Constant, Context, Resonate, UsageError, Workflow
from tests.integration.amqp.server import ServerThread
from tests.integration.probing import ask, readiness, samples
from tests.processes import wait_until

CHANGE_S_MAX = 30
CALL_S_MAX = 30


@pytest.fixture
def listen() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def worker(server: ServerThread, listen: str) -> Generator[Resonate]:
    """Serves `order`, whose step fails once."""
    tries: list[int] = []

    def order(ctx: Context) -> Workflow[int]:
        return (yield ctx.run(step).options(retry_policy=Constant(delay=0)))

    def step(ctx: Context) -> int:
        tries.append(len(tries))
        if len(tries) == 1:
            raise LookupError("not yet")
        return len(tries)

    config = server.config
    with Resonate.remote(
        config.url,
        namespace=config.namespace,
        group="g",
        pid="one",
        listen=listen,
        autostart=False,
    ) as client:
        client.register(order)
        yield client


def is_ready(listen: str) -> bool:
    return ask(listen, "/ready")[0] == 200


def test_a_worker_tells_what_it_has_done_and_whether_it_can_work(worker: Resonate, listen: str):
    worker.start()
    assert wait_until(lambda: _listens(listen), seconds=CHANGE_S_MAX)
    assert wait_until(lambda: is_ready(listen), seconds=CHANGE_S_MAX), readiness(listen)
    before = samples(listen)

    assert worker.run("order-1", "order") == 2

    found = samples(listen)
    assert ask(listen, "/health")[0] == 200
    assert before["resonate_worker_passes_total", (("end", "done"),)] == 0
    assert found["resonate_worker_passes_total", (("end", "done"),)] == 1
    assert found["resonate_worker_calls_total", ()] == 1
    assert found["resonate_worker_retries_total", ()] == 1
    assert found["resonate_worker_slots", ()] == 64
    assert found["resonate_worker_amqp_sessions_total", ()] == 1
    for part in ("worker", "server", "consumers"):
        assert found["resonate_worker_ready", (("part", part),)] == 1
    (labels,) = [dict(labels) for name, labels in found if name == "resonate_worker_info"]
    assert (labels["group"], labels["pid"]) == ("g", "one")
    assert found["process_cpu_seconds_total", ()] > 0


def test_a_worker_without_a_server_is_alive_but_not_ready(listen: str):
    with Resonate(url="amqp://me:secret@127.0.0.1:1/", listen=listen) as worker:
        worker.start()
        assert wait_until(lambda: _listens(listen), seconds=CHANGE_S_MAX)
        told = wait_until(
            lambda: "nothing listens there" in readiness(listen)["server"], seconds=CHANGE_S_MAX
        )

        assert told, readiness(listen)
        assert readiness(listen)["consumers"] == "the queue of the group is not consumed"
        assert ask(listen, "/health")[0] == 200
        assert "secret" not in ask(listen, "/ready")[2]
    assert not _listens(listen)


def test_a_worker_whose_port_is_taken_says_so_and_works(
    worker: Resonate, listen: str, caplog: pytest.LogCaptureFixture
):
    host, port = listen.split(":")
    with socket.create_server((host, int(port))):
        worker.start()

        assert worker.begin_rpc("order-1", "order").result(CALL_S_MAX) == 2

        said = f"cannot listen on {listen}"
        assert wait_until(lambda: said in caplog.text, seconds=CHANGE_S_MAX)


def test_a_client_that_serves_nobody_has_no_port(server: ServerThread, listen: str):
    config = server.config
    with Resonate(url=config.url, namespace=config.namespace, listen=listen) as client:
        client.promises.search()

        assert not _listens(listen)


def test_a_port_that_is_none_is_refused_at_once():
    with pytest.raises(UsageError, match="'9464' is no host:port"):
        Resonate(url="amqp://localhost", listen="9464")


def _listens(listen: str) -> bool:
    host, port = listen.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
