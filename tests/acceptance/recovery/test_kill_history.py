"""C20: servers are killed, frozen and cut off; what they have recorded could have happened."""

import json
from pathlib import Path

from tests.acceptance.recovery.deployment import Deployment
from tests.linearizability.drill import CLIENTS, LINES_BETWEEN, Drill

SEED = 1
HARMS = ("kill", "cut", "freeze")


async def test_a_recording_of_servers_under_fire_is_exported_as_a_history_that_could_have_happened(
    deployment: Deployment, database_url: str, tmp_path: Path
):
    drill = Drill(deployment, database_url, tmp_path, SEED)

    lines = await drill.run(servers=2, harms=HARMS)

    assert len(lines) > LINES_BETWEEN * len(HARMS) / 2
    assert len({json.loads(line)["client"] for line in lines}) == CLIENTS
