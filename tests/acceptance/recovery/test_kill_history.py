"""C20: servers that record are killed with SIGKILL; what they have recorded could have happened."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.acceptance.recovery.deployment import Deployment
from tests.integration.amqp.busy import be_busy
from tests.integration.amqp.foreign import foreign_client
from tests.linearizability.checker import check
from tests.processes import wait_until

pytestmark = pytest.mark.timeout(180)

CLIENTS = 4
MESSAGES = 50
KILLED_AT = 120  # lines of the recording
PATIENCE_S = 2.0  # an answer may be lost with its server
SECONDS_MAX = 60


async def test_a_recording_of_killed_servers_is_exported_as_a_history_that_could_have_happened(
    deployment: Deployment, tmp_path: Path
):
    recorded, exported = tmp_path / "recorded.jsonl", tmp_path / "history.jsonl"
    deployment.set("RESONATE_RECORD_HISTORY", str(recorded))
    deployment.set("RESONATE_STRICT", "true")
    killed, other = deployment.start_server(), deployment.start_server()

    def kill() -> None:
        assert wait_until(lambda: _count(recorded) >= KILLED_AT, seconds=SECONDS_MAX)
        deployment.kill(killed)

    async with asyncio.TaskGroup() as busy:
        for number in range(CLIENTS):
            busy.create_task(_be_busy(deployment, f"pid{number}"))
        await asyncio.to_thread(kill)
    deployment.kill(other)
    deployment.command("history", "export", str(recorded), "--output", str(exported))

    lines = exported.read_bytes().splitlines()
    assert check(lines) > CLIENTS * MESSAGES / 2
    assert len({json.loads(line)["client"] for line in lines}) == CLIENTS


async def _be_busy(deployment: Deployment, pid: str) -> None:
    async with foreign_client(deployment.url, deployment.namespace) as client:
        await be_busy(client, pid, MESSAGES, patience_s=PATIENCE_S)


def _count(recorded: Path) -> int:
    return recorded.read_bytes().count(b"\n") if recorded.exists() else 0
