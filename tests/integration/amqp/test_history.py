"""A server records what it decides, and what it records could have happened: C20."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from resonate_broker.api.history import final_lines
from resonate_broker.config import Config
from resonate_sdk.protocol import envelope
from resonate_sdk.protocol.responses import PromiseData, TaskData, TaskGranted
from tests.integration.amqp.foreign import ForeignClient, create, foreign_client, task_for
from tests.integration.amqp.server import ServerThread
from tests.linearizability.checker import NotLinearizableError, check
from tests.simulation.requests import Knowledge, Requests

CLIENTS = 4
MESSAGES = 40


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "recorded.jsonl"


@pytest.fixture
def config(config: Config, history: Path) -> Config:
    """What a server needs that records."""
    return replace(config, record_history=str(history), strict=True)


async def be_busy(client: ForeignClient, pid: str, messages: int = MESSAGES) -> None:
    """Ask at random, as the clients of simulations do."""
    now_ms = lambda: time.time_ns() // 1_000_000  # noqa: E731
    known, random = Knowledge(pid, now_ms), Random(pid)
    requests = Requests(random, known, lambda: 0)
    for number in range(messages):
        asked = [requests.make() for _ in range(random.choice((1, 1, 3)))]
        body = [
            {
                "kind": kind,
                "head": {"version": "2026-04-01", "corrId": f"{number}-{index}"},
                "data": data,
            }
            for index, (kind, data) in enumerate(asked)
        ]
        await client.send(body)
        for answer in await client.take_answers(len(body)):
            learn(known, json.dumps(answer).encode())


def learn(known: Knowledge, body: bytes) -> None:
    """Remember what an answer says."""
    (response,) = envelope.decode_responses(body)
    if response.head.status != 200:
        return
    match envelope.decode_answer(response).data:
        case PromiseData(promise=promise):
            known.promises[promise.id] = promise
        case TaskData(task=task):
            known.tasks[task.id] = task
        case TaskGranted(task=task, promise=promise):
            known.tasks[task.id] = task
            known.promises[promise.id] = promise
            if task.state == "acquired":
                known.held[task.id] = task.version
        case _:
            pass


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
        await be_busy(client, pid)


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
