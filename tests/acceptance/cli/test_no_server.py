"""What client commands say when there is nobody to talk to, and that they say it soon."""

import asyncio
import re
import socket
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from resonate_sdk.amqp.session import open_session
from resonate_sdk.amqp.transport import AmqpTransport
from resonate_sdk.errors import TransportError
from resonate_sdk.protocol.requests import PromiseCreate
from resonate_sdk.protocol.topology import Names, server_topology
from tests.acceptance.cli.programs import environment, run, run_here, running

SECONDS_MAX = 10.0  # 6 on a machine that has nothing else to do
SECRET = "s3cret"
COMMANDS = [
    ("promises", "create", "a", "-t", "1h"),
    ("invoke", "a", "-f", "foo", "--wait"),
    ("tree", "a"),
]


@contextmanager
def silent_host() -> Generator[str]:
    """Accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def black_hole() -> Generator[str]:
    """Does not even answer to attempts to connect, since its queue of them is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, ExitStack() as sockets:
        for _ in range(4):
            client = sockets.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def is_one_sentence(err: str) -> bool:
    return bool(re.fullmatch(r"Error: [^\n]+\n", err)) and SECRET not in err


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"port": 1}, "nothing listens there (connection refused): start it, or correct the URL"),
        ({"host": "host.invalid"}, "the name of the host is unknown: correct the URL"),
        ({"password": SECRET}, "wrong user name or password: correct the URL"),
        ({"vhost": "nowhere"}, "there is no such virtual host, or this user may not use it"),
    ],
    ids=["closed port", "unknown host", "wrong password", "missing vhost"],
)
def test_a_broker_that_does_not_let_us_in_is_told_at_once(amqp_server, namespace, change, reason):
    given = urlsplit(amqp_server)
    user, password = given.username or "guest", change.get("password", given.password)
    host, port = change.get("host", given.hostname), change.get("port", given.port)
    place = f"{host}:{port}/{change.get('vhost', '')}"
    env = environment(
        RESONATE_URL=f"amqp://{user}:{password}@{place}", RESONATE_NAMESPACE=namespace
    )

    result = run_here("promises", "get", "a", env=env)
    with_json = run_here("invoke", "a", "-f", "foo", "--json", env=env)

    sentence = f"cannot reach RabbitMQ at amqp://{user}:***@{place} (namespace '{namespace}')"
    assert result.code == with_json.code == 3
    assert result.err == f"Error: {sentence}: {reason}\n"
    assert with_json.error == {"error": f"{sentence}: {reason}", "exit_code": 3}
    assert result.out == with_json.out == ""
    assert result.seconds < SECONDS_MAX - 4


@pytest.mark.parametrize("host", [silent_host, black_hole])
def test_a_host_that_does_not_answer_is_given_up(host):
    with host() as place:
        env = environment(RESONATE_URL=f"amqp://u:{SECRET}@{place}/")

        result = run_here("promises", "get", "a", env=env)

    assert result.code == 3
    assert is_one_sentence(result.err)
    assert result.err.endswith("(namespace 'resonate'): it does not answer\n")
    assert result.seconds < SECONDS_MAX


def test_a_name_that_takes_long_to_look_up_is_given_up():
    """Its time begins when Python is ready, which takes seconds on a busy machine."""
    program = (
        "import socket, threading; from resonate_broker.cli import main, program;"
        "socket.getaddrinfo = lambda *_, **__: threading.Event().wait();"
        "print('ready', flush=True); main()"
    )
    env = environment(RESONATE_URL=f"amqp://u:{SECRET}@host/")

    with running("promises", "get", "a", env=env, program=(sys.executable, "-c", program)) as asked:
        asked.wait_for("^ready$")
        began_at = time.monotonic()
        code = asked.wait()
        seconds = time.monotonic() - began_at

    assert code == 3
    assert is_one_sentence("\n".join([*asked.err, ""]))
    assert seconds < SECONDS_MAX


def test_where_no_server_has_ever_run_that_is_said(empty_place):
    result = run_here("promises", "get", "a", env=empty_place)

    assert result.code == 3
    assert is_one_sentence(result.err)
    assert "is there, but no server has ever run in namespace " in result.err
    assert empty_place["RESONATE_NAMESPACE"] in result.err
    assert "start one with `resonate serve` (no request was sent)" in result.err
    assert result.seconds < SECONDS_MAX


async def kinds_in_queue(url: str, names: Names, count: int) -> list[str | None]:
    """What waits in the submission queue: that many messages, and no more."""
    kinds: list[str | None] = []
    arrived = asyncio.Event()

    def take(_, delivery) -> None:
        kinds.append(delivery.kind)
        if len(kinds) == count:
            arrived.set()

    async with asyncio.timeout(10), open_session(url, name="test", heartbeat_s=10) as session:
        queued = await session.count(names.submit_queue(0))
        await session.consume(names.submit_queue(0), take, prefetch=100)
        await arrived.wait()
    assert queued is not None
    assert queued.ready == count
    return kinds


async def declare(url: str, names: Names) -> None:
    """Leave what a server leaves that has ended."""
    async with open_session(url, name="test", heartbeat_s=10) as session:
        await session.declare(server_topology(names, 1))


async def test_without_a_server_nothing_but_hello_is_put_into_the_queue(empty_place):
    url, names = empty_place["RESONATE_URL"], Names(empty_place["RESONATE_NAMESPACE"])
    await declare(url, names)

    async with asyncio.TaskGroup() as group:
        commands = [
            group.create_task(asyncio.to_thread(run, *command, env=empty_place))
            for command in COMMANDS
        ]

    for command in commands:
        result = command.result()
        assert result.code == 3
        assert is_one_sentence(result.err)
        assert f"but no server answers in namespace '{names.namespace}'" in result.err
    assert await kinds_in_queue(url, names, len(COMMANDS)) == ["hello"] * len(COMMANDS)


async def test_the_transport_keeps_a_request_back_until_a_server_has_answered(empty_place):
    url, names = empty_place["RESONATE_URL"], Names(empty_place["RESONATE_NAMESPACE"])
    await declare(url, names)
    transport = AmqpTransport(url, names.namespace, "group", "pid")

    async with asyncio.TaskGroup() as group:
        group.create_task(transport.run(receiver=None))  # pyright: ignore[reportArgumentType]  # nothing arrives
        with pytest.raises(TransportError) as caught:
            await transport.request(PromiseCreate(id="a", timeout_at_ms=1), timeout_s=1)
        await transport.stop()

    assert not caught.value.may_be_carried_out
    assert set(await kinds_in_queue(url, names, 1)) == {"hello"}
