"""Private servers: they serve, die, come back with their data, and leave nothing behind."""

import os
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import aio_pika
import asyncpg
import pytest

from resonate_broker.dev import (
    InstanceError,
    MissingProgramError,
    PrivatePostgres,
    PrivateRabbitMQ,
    folder as folder_module,
    postgres,
    rabbitmq,
)
from resonate_broker.dev.process import Account
from tests.processes import processes_of, wait_until
from tests.services import private_folder

START_SECONDS_MAX = 60
END_SECONDS_MAX = 20
NOTE = b"kept"

Server = PrivatePostgres | PrivateRabbitMQ

OWNER = """
import sys
from pathlib import Path
from resonate_broker import dev

server = getattr(dev, sys.argv[1])(Path(sys.argv[2]))
server.start()
sys.stdout.write("started\\n")
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.fixture(params=["private_postgres", "private_rabbitmq"])
def server(request) -> Server:
    return request.getfixturevalue(request.param)


@pytest.fixture
def folder() -> Generator[Path]:
    with private_folder() as parent:
        yield parent / "server"


async def write_note(server: Server, name: str) -> None:
    if isinstance(server, PrivatePostgres):
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE IF NOT EXISTS notes (name text, note bytea)")
        await connection.execute("INSERT INTO notes VALUES ($1, $2)", name, NOTE)
        await connection.close()
        return
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(name, durable=True)
        message = aio_pika.Message(NOTE, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=name)
        # RabbitMQ 3 answers a declaration before Mnesia's decision to commit it is on disk. The log
        # is sequential: the answer to a later declaration says that the earlier one is safe.
        await channel.declare_queue(f"{name}-after", durable=True)


async def read_note(server: Server, name: str) -> bytes:
    if isinstance(server, PrivatePostgres):
        connection = await asyncpg.connect(server.url)
        note = await connection.fetchval("SELECT note FROM notes WHERE name = $1", name)
        await connection.close()
        return note
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(name)
        message = await queue.get()
        await message.nack(requeue=True)
        return message.body


@contextmanager
def owner_of(
    kind: type[Server], folder: Path
) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, kind.__name__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        try:
            yield owner, owner.stdout
        finally:
            owner.kill()


def all_ended(folder: Path) -> bool:
    return wait_until(lambda: not processes_of(folder), seconds=END_SECONDS_MAX)


async def test_a_killed_server_leaves_no_process_and_comes_back_with_url_and_data(
    server, namespace
):
    url = server.url
    await write_note(server, namespace)

    server.kill()
    left = processes_of(server.folder)
    was_running = server.is_running
    server.start()

    assert left == set()
    assert not was_running
    assert server.url == url
    assert await read_note(server, namespace) == NOTE


async def test_a_paused_server_keeps_silent_until_it_is_resumed(server, namespace):
    await write_note(server, namespace)

    server.pause()
    was_accepting = server._is_accepting()
    server.resume()

    assert not was_accepting
    assert await read_note(server, namespace) == NOTE


async def test_a_stopped_server_leaves_no_process_and_its_folder_serves_a_later_owner(
    server, namespace
):
    url = server.url
    await write_note(server, namespace)

    server.stop()
    left = processes_of(server.folder)
    later = type(server)(server.folder)

    assert left == set()
    with later:
        assert later.url == url
        assert await read_note(later, namespace) == NOTE
    assert processes_of(server.folder) == set()


@pytest.mark.parametrize("kind", [PrivatePostgres, PrivateRabbitMQ])
def test_a_server_ends_with_its_killed_owner_and_does_not_hold_its_output(kind, folder):
    with owner_of(kind, folder) as (owner, output):
        line = output.readline()
        count = len(processes_of(folder))

        owner.kill()
        rest = output.read()

        assert line == b"started\n"
        assert count > 1
        assert rest == b""
        assert all_ended(folder), processes_of(folder)


@pytest.mark.parametrize("kind", [PrivatePostgres, PrivateRabbitMQ])
def test_a_server_that_is_starting_ends_with_its_killed_owner(kind, folder):
    with owner_of(kind, folder) as (owner, _):
        begun = wait_until(lambda: len(processes_of(folder)) > 1, seconds=START_SECONDS_MAX)

        owner.kill()

        assert begun
        assert all_ended(folder), processes_of(folder)


def test_the_folder_of_a_killed_owner_can_be_taken_over_at_once(folder):
    with owner_of(PrivatePostgres, folder) as (owner, output):
        output.readline()

        owner.kill()

        with PrivatePostgres(folder) as successor:
            assert successor.is_running


def test_a_folder_has_one_owner_at_a_time(private_postgres, monkeypatch):
    monkeypatch.setattr(folder_module, "LOCK_MS_MAX", 0)

    with pytest.raises(InstanceError, match="belongs to another process"):
        PrivatePostgres(private_postgres.folder).start()


def test_a_folder_with_other_files_is_refused_untouched(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(InstanceError, match="is not empty"):
        PrivatePostgres(tmp_path).start()

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_rabbitmq_leaves_half_of_the_cores_to_its_clients(private_rabbitmq):
    schedulers = int(private_rabbitmq.control("eval", "erlang:system_info(schedulers)."))

    assert schedulers == max(1, (os.cpu_count() or 1) // 2)


def test_a_port_that_somebody_else_took_meanwhile_is_named(private_postgres):
    private_postgres.stop()

    with (
        socket.create_server(("127.0.0.1", private_postgres.port)),
        pytest.raises(InstanceError, match=f"port {private_postgres.port} of .* is taken"),
    ):
        private_postgres.start()


def test_a_server_that_cannot_start_shows_the_end_of_its_log_and_leaves_no_process(folder):
    server = PrivatePostgres(folder)
    server.start()
    server.stop()
    (folder / "data" / "PG_VERSION").write_text("1\n")

    with pytest.raises(InstanceError) as caught:
        server.start()

    assert "PostgreSQL ended with exit code 1" in str(caught.value)
    assert str(server.log_path) in str(caught.value)
    assert "database files are incompatible with server" in str(caught.value)
    assert not server.is_running
    assert processes_of(folder) == set()


def test_a_folder_that_the_user_of_the_server_cannot_reach_is_refused(folder):
    folder.mkdir()
    folder.parent.chmod(0o700)

    with pytest.raises(InstanceError, match=f"{folder.parent} shuts out the user 'postgres'"):
        postgres.hand_over(folder, Account(uid=folder.stat().st_uid + 1, gid=-1))


@pytest.mark.parametrize(
    ("kind", "module", "package"),
    [(PrivatePostgres, postgres, "postgresql"), (PrivateRabbitMQ, rabbitmq, "rabbitmq-server")],
)
def test_a_server_that_is_not_installed_is_refused_with_the_package_to_install(
    kind, module, package, folder, monkeypatch
):
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(module, "DEBIAN_ROOT", folder)

    with pytest.raises(MissingProgramError, match=f"apt-get install {package}$") as caught:
        kind(folder).start()

    assert caught.value.package == package
