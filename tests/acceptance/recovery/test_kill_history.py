"""C20: servers are killed, frozen and cut off; what they have recorded could have happened."""

import json
from pathlib import Path

import pytest

from tests.acceptance.recovery.deployment import Deployment
from tests.linearizability.drill import CLIENTS, LINES_BETWEEN, Drill

SEED = 1


@pytest.mark.parametrize(
    ("partitions", "harms"), [(1, ("kill", "cut", "freeze")), (3, ("kill", "cut"))]
)
async def test_a_recording_of_servers_under_fire_is_exported_as_a_history_that_could_have_happened(
    deployment: Deployment,
    database_url: str,
    tmp_path: Path,
    partitions: int,
    harms: tuple[str, ...],
):
    drill = Drill(deployment, database_url, tmp_path, SEED)

    lines = await drill.run(servers=2, harms=harms, partitions=partitions)

    assert len(lines) > LINES_BETWEEN * len(harms) / 2
    assert len({json.loads(line)["client"] for line in lines}) == CLIENTS
