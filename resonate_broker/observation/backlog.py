"""What waits in the database, looked at when somebody asks for metrics, and not too often."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from resonate_store.state import Backlog
from resonate_store.store import StoreError

logger = logging.getLogger(__name__)

COUNT_MAX = 10_000
LOOK_INTERVAL_S = 5.0
LOOK_S_MAX = 1.0


class BacklogLook:
    """The last look at the database.

    Attributes:
        latest: what was found; None if nobody has looked, or the database did not answer.
    """

    def __init__(self, read: Callable[[int], Awaitable[Backlog]]) -> None:
        """Know nothing yet.

        Args:
            read: counts what waits, up to a number.
        """
        self.latest: Backlog | None = None
        self._read = read
        self._looked_at_s: float | None = None

    async def look(self) -> None:
        """Look again, unless that was done just now or is being done."""
        now_s = asyncio.get_running_loop().time()
        if self._looked_at_s is not None and now_s - self._looked_at_s < LOOK_INTERVAL_S:
            return
        self._looked_at_s = now_s
        try:
            async with asyncio.timeout(LOOK_S_MAX):
                self.latest = await self._read(COUNT_MAX)
        except (StoreError, TimeoutError) as error:
            self.latest = None
            logger.debug("what waits was not counted reason=%r", error)
