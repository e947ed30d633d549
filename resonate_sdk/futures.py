"""What goes for any future."""

import asyncio
from typing import Any


def overlook(future: "asyncio.Future[Any]") -> None:
    """Take note of an error that perhaps nobody waits for, so that asyncio does not complain of it."""
    if not future.cancelled():
        future.exception()
