"""Real servers under fire: what they have recorded must be a history that could have happened.

Several processes on one database and one broker record into one file, clients ask all of them at
random, and one harm comes after the other.
"""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

import asyncpg

from tests.acceptance.recovery.deployment import Deployment
from tests.integration.amqp.busy import be_busy
from tests.integration.amqp.foreign import foreign_client
from tests.linearizability.checker import check
from tests.processes import wait_until

CLIENTS = 4
PATIENCE_S = 2.0  # an answer may be lost with its server
LINES_BETWEEN = 80  # recorded between one harm and the next
LINES_PER_GENERATION = (
    400  # then all ids are new, so that parts of the history can be looked at apart
)
PROGRESS_SECONDS_MAX = 60
KIND = "promise.get"
BEAT = "heartbeat"  # leads to a queue that all servers take from: they decide at the same time
TERMINATE = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


class Drill:
    """One drill with a deployment that has been migrated."""

    def __init__(self, deployment: Deployment, database_url: str, folder: Path, seed: int) -> None:
        """Let what is started from now on be recorded.

        Args:
            deployment: where servers are started.
            database_url: of a user who may end the sessions of others.
            folder: for the recording and the history.
            seed: of the choices among servers.
        """
        self._deployment = deployment
        self._database_url = database_url
        self._recorded = folder / "recorded.jsonl"
        self._exported = folder / "history.jsonl"
        self._random = Random(seed)
        self._servers: list[subprocess.Popen[bytes]] = []
        self._keys: Sequence[str] = (KIND, BEAT)
        self._is_over = False
        self._harms: Mapping[str, Callable[[], Awaitable[None]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "cut": self._cut,
        }
        deployment.set("RESONATE_RECORD_HISTORY", str(self._recorded))
        deployment.set("RESONATE_STRICT", "true")

    async def run(self, servers: int, harms: Sequence[str], *, partitions: int = 1) -> list[bytes]:
        """Do these harms one after the other; return the history, which has been checked.

        Args:
            servers: how many there are at a time.
            harms: what is done to them.
            partitions: how many submission queues they have.

        Raises:
            NotLinearizableError: it could not have happened.
        """
        self._deployment.set("RESONATE_PARTITIONS", str(partitions))
        if partitions > 1:
            self._keys = (*(f"p{number:02}.{KIND}" for number in range(partitions)), BEAT)
        self._servers = [self._deployment.start_server() for _ in range(servers)]
        async with asyncio.TaskGroup() as busy:
            for number in range(CLIENTS):
                busy.create_task(self._ask(f"pid{number}"))
            for harm in harms:
                await self._progress()
                await self._harms[harm]()
            await self._progress()
            self._is_over = True
        for server in self._servers:
            self._deployment.kill(server)
        recorded, exported = str(self._recorded), str(self._exported)
        self._deployment.command("history", "export", recorded, "--output", exported)
        lines = self._exported.read_bytes().splitlines()
        check(lines)
        return lines

    async def _ask(self, pid: str) -> None:
        async with foreign_client(self._deployment.url, self._deployment.namespace) as client:
            await be_busy(
                client,
                pid,
                self._numbers(),
                patience_s=PATIENCE_S,
                keys=self._keys,
                generation=lambda: self._count // LINES_PER_GENERATION,
            )

    def _numbers(self) -> Iterator[int]:
        number = 0
        while not self._is_over:
            yield (number := number + 1)

    @property
    def _count(self) -> int:
        return self._recorded.read_bytes().count(b"\n") if self._recorded.exists() else 0

    async def _progress(self) -> None:
        """Wait until servers have decided something more."""
        enough = self._count + LINES_BETWEEN
        has_come = await asyncio.to_thread(
            wait_until, lambda: self._count >= enough, seconds=PROGRESS_SECONDS_MAX
        )
        assert has_come, f"nobody decides anything any more: {self._deployment.logs()}"

    async def _kill(self) -> None:
        """A server dies, and another one comes."""
        number = self._random.randrange(len(self._servers))
        self._deployment.kill(self._servers[number])
        self._servers[number] = await asyncio.to_thread(self._deployment.start_server)

    async def _freeze(self) -> None:
        """A server stands still until others have gone on, and wakes up."""
        with self._deployment.frozen(self._random.choice(self._servers)):
            await self._progress()

    async def _cut(self) -> None:
        """All sessions of the database end, whatever is in them."""
        connection = await asyncpg.connect(self._database_url)
        try:
            await connection.execute(TERMINATE)
        finally:
            await connection.close()
