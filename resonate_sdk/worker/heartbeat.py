"""Leases: which tasks this process holds, and how it keeps them."""

import asyncio
import logging
from collections.abc import Callable
from itertools import islice

from resonate_sdk.errors import ResonateError
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import TaskRef
from resonate_sdk.protocol.requests import TaskHeartbeat
from resonate_sdk.protocol.responses import Beaten
from resonate_sdk.transport import Transport

logger = logging.getLogger(__name__)

BEATS_PER_LEASE = 3


class Leases:
    """The tasks that this process holds. Beats go out from a loop that never runs user code."""

    def __init__(self, transport: Transport, pid: str, lease_ms: int) -> None:
        """Hold nothing yet.

        Args:
            transport: the way to the server.
            pid: the name of the process, which the server compares.
            lease_ms: how long a lease lasts without a beat.
        """
        self._transport = transport
        self._pid = pid
        self._interval_s = lease_ms / 1000 / BEATS_PER_LEASE
        self._held: dict[tuple[str, int], Callable[[], None]] = {}
        self._are_some = asyncio.Event()

    def add(self, id: str, version: int, on_lost: Callable[[], None]) -> None:
        """Keep a lease; `on_lost` is called if the server says that it is not ours any more."""
        self._held[id, version] = on_lost
        self._are_some.set()

    def remove(self, id: str, version: int) -> None:
        """Keep it no longer."""
        self._held.pop((id, version), None)

    @property
    def count(self) -> int:
        """How many tasks this process holds."""
        return len(self._held)

    @property
    def are_held(self) -> bool:
        """Whether this process holds any task."""
        return bool(self._held)

    def holds(self, id: str) -> bool:
        """Whether this process holds the task at any version."""
        return any(held_id == id for held_id, _ in self._held)

    def holds_at(self, id: str, version: int) -> bool:
        """Whether this process holds the task at this version."""
        return (id, version) in self._held

    def settled(self, id: str) -> None:
        """Somebody in this process has settled a promise: its task is nobody's any more."""
        for held_id, version in tuple(self._held):
            if held_id == id:
                self._lost(id, version)

    def _lost(self, id: str, version: int) -> None:
        on_lost = self._held.pop((id, version), None)
        if on_lost is not None:
            on_lost()

    async def keep_beating(self) -> None:
        """Prolong all leases, for ever."""
        loop = asyncio.get_running_loop()
        beat_at_s = loop.time()
        while True:
            if not self._held:
                self._are_some.clear()
                await self._are_some.wait()
                beat_at_s = loop.time()
            # A beat that waited for its answer in vain is not followed by a further pause.
            beat_at_s = max(beat_at_s + self._interval_s, loop.time())
            await asyncio.sleep(beat_at_s - loop.time())
            refs = (TaskRef(id=id, version=version) for id, version in tuple(self._held))
            async with asyncio.TaskGroup() as beats:
                while tasks := tuple(islice(refs, limits.TASKS_PER_HEARTBEAT_MAX)):
                    beats.create_task(self._beat(tasks))

    async def _beat(self, tasks: tuple[TaskRef, ...]) -> None:
        try:
            async with asyncio.timeout(self._interval_s):
                answer = await self._transport.request(TaskHeartbeat(pid=self._pid, tasks=tasks))
        except (ResonateError, TimeoutError) as error:
            reason = str(error) or "no answer in time"
            logger.warning("heartbeat was not answered tasks=%d reason=%s", len(tasks), reason)
            return
        if isinstance(answer.data, Beaten):
            for ref in answer.data.lost:
                self._lost(ref.id, ref.version)
