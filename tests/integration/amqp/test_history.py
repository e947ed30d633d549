"""A server records what it decides, and what it records could have happened: C20."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from resonate_broker.api.history import final_lines
from resonate_broker.config import Config
from tests.integration.amqp.busy import be_busy
from tests.integration.amqp.foreign import create, foreign_client, task_for
from tests.integration.amqp.server import ServerThread
from tests.linearizability.checker import NotLinearizableError, check

CLIENTS = 4
MESSAGES = 40


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "recorded.jsonl"


@pytest.fixture
def config(config: Config, history: Path) -> Config:
    """What a server needs that records."""
    return replace(config, record_history=str(history), strict=True)


def final(history: Path) -> list[bytes]:
    """The history that a recording tells."""
    return list(final_lines(history.read_bytes().splitlines()))


async def record(config: Config) -> None:
    """Let several clients be busy at the same time."""
    async with asyncio.TaskGroup() as busy:
        for number in range(CLIENTS):
            busy.create_task(_one(config, f"pid{number}"))


async def _one(config: Config, pid: str) -> None:
    async with foreign_client(config.url, config.namespace) as client:
        await be_busy(client, pid, range(MESSAGES))


async def test_what_a_server_records_could_have_happened(
    start_server: Callable[[], ServerThread], config: Config, history: Path
):
    servers = [start_server(), start_server()]
    await record(config)
    for server in servers:
        server.stop()

    lines = final(history)

    assert check(lines) > CLIENTS * MESSAGES / 2
    assert len({json.loads(line)["client"] for line in lines}) == CLIENTS
    assert b'"resonate:target":"amqp' not in b"".join(lines)


async def test_a_history_with_a_wrong_answer_could_not_have_happened(
    start_server: Callable[[], ServerThread], config: Config, history: Path
):
    server = start_server()
    async with foreign_client(config.url, config.namespace) as client:
        await client.ask("promise.create", create("a", tags=task_for("g")))
        acquire = {"id": "a", "version": 0, "pid": "me", "ttl": 60_000}
        await client.ask("task.acquire", acquire)
        await client.ask("task.get", {"id": "a"})
    server.stop()
    lines = final(history)
    wrong = [line.replace(b'"version":1', b'"version":2') for line in lines]

    assert check(lines) == 3
    with pytest.raises(NotLinearizableError, match="nothing explains"):
        check(wrong)
