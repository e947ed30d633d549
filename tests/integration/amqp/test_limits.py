"""A group has no more executions than it may, with two servers, several workers, and deaths."""

import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from resonate_broker.config import Config
from resonate_sdk.protocol import tags
from tests.integration.amqp.foreign import OK, ForeignClient, create, request, settle
from tests.integration.amqp.rows import Rows
from tests.integration.amqp.server import ServerThread
from tests.repository.sources import ROOT

GROUP = "limited"
LIMIT = 3
COUNT = 60
SECONDS_MAX = 60
PROGRAM = Path(__file__).with_name("limited_worker.py")
ACQUIRED = "select count(*) from promises where task_state = 'acquired'"
SETTLED = "select count(*) from promises where state <> 'pending'"
OF_KEY = f"{ACQUIRED} and concurrency_key is not null"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def start_worker(config: Config, journal: Path) -> Generator[Callable[[], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), config.url, config.namespace, GROUP, str(journal)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


async def submit(client: ForeignClient, count: int, key: str | None = None) -> None:
    """Let many executions wait; every third has the key."""
    envelopes = [
        request(
            "promise.create",
            create(
                f"work-{number:03}",
                param={"data": "eyJmdW5jIjoid29yayIsImFyZ3MiOltdfQ=="},
                tags={tags.TARGET: f"amqp://any@{GROUP}"}
                | ({tags.KEY: key} if key and number % 3 else {}),
            ),
            corr_id=f"{number}",
        )
        for number in range(count)
    ]
    answers = await client.ask_all(envelopes)
    assert {answer["head"]["status"] for answer in answers} == {OK}


async def limit(client: ForeignClient, **limits: object) -> None:
    (answer,) = await client.ask_all([request("group.set", {"name": GROUP, **limits})])
    assert answer["head"]["status"] == OK, answer


def most_at_once(journal: Path, dead: int) -> int:
    """How many ran at a time, as the workers that have survived have seen it."""
    running = most = 0
    for line in journal.read_text().splitlines():
        pid, sign, _ = line.split()
        if pid != str(dead):
            running += 1 if sign == "+" else -1
            most = max(most, running)
    return most


async def test_no_more_run_than_may_with_two_servers_and_deaths(
    start_server: Callable[[], ServerThread],
    start_worker: Callable[[], subprocess.Popen[str]],
    client: ForeignClient,
    rows: Rows,
    server: ServerThread,
    journal: Path,
):
    start_server()
    await limit(client, concurrency=LIMIT, keyConcurrency=LIMIT - 1)
    victim, *_ = (start_worker() for _ in range(3))
    await submit(client, COUNT, key="tenant")

    most = most_of_key = settled = 0
    while settled < COUNT:
        most = max(most, await rows.fetchval(ACQUIRED))
        most_of_key = max(most_of_key, await rows.fetchval(OF_KEY))
        settled = await rows.fetchval(SETTLED)
        if settled > COUNT // 4:
            victim.kill()
        if settled > COUNT // 2 and server.is_alive:
            server.stop()  # the other one goes on

    assert most == LIMIT
    assert most_of_key == LIMIT - 1
    assert most_at_once(journal, dead=victim.pid) <= LIMIT
    assert victim.poll() is not None


async def test_who_comes_without_a_place_is_answered_at_once_and_told_later(
    client: ForeignClient, rows: Rows
):
    await limit(client, concurrency=1)
    await client.use_queue("pid-1")
    await client.ask("hello", {"pid": "pid-1", "group": GROUP})
    inbox = await client.consume(client.names.task_queue(GROUP))
    await submit(client, 2)
    first = await inbox.next_json()
    acquire = {"pid": "pid-1", "ttl": 3_600_000, "version": 0}
    assert (await client.ask("task.acquire", {"id": "work-000", **acquire}))["head"]["status"] == OK

    refused = await client.ask("task.acquire", {"id": "work-001", **acquire})
    fulfill = {"kind": "promise.settle", "head": {}, "data": settle("work-000")}
    await client.ask("task.fulfill", {"id": "work-000", "version": 1, "action": fulfill})
    second = await inbox.next_json()

    assert first["data"]["task"] == {"id": "work-000", "version": 0}
    assert refused["head"]["status"] == 409
    assert "runs 1 at a time" in refused["data"]
    assert second["data"]["task"] == {"id": "work-001", "version": 0}
    assert (await client.ask("task.acquire", {"id": "work-001", **acquire}))["head"]["status"] == OK
