"""Tasks of the event loop that belong together, and of which none takes the others down."""

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

logger = logging.getLogger(__name__)


class Tasks:
    """Owns the tasks of a client: they end before its loop does."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        """Let a group own them."""
        self._group = group
        self._tasks = set[asyncio.Task[None]]()

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Run a coroutine; what it does not handle is logged, and is the end of it alone."""
        task = self._group.create_task(self._guarded(coroutine))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, coroutine))
        return task

    def _ended(self, coroutine: Coroutine[Any, Any, Any], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        coroutine.close()  # which has not begun if its task was cancelled before the first step

    def cancel_all(self) -> None:
        """End them where they are."""
        for task in self._tasks:
            task.cancel()

    async def _guarded(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            await coroutine
        except Exception:
            logger.exception("background task failed")
