"""The life of a client: served until a signal, or for the length of a block."""

import signal
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from resonate_sdk.client.signals import caught
from resonate_sdk.collector import look_seldom
from resonate_sdk.options import Seconds

if TYPE_CHECKING:
    from resonate_sdk.client.aio import AsyncResonate


class Lifetime(ABC):
    """What starts and ends."""

    @abstractmethod
    def start(self) -> None:
        """Begin to work."""

    @abstractmethod
    def stop(self, timeout: Seconds = 30.0) -> None:
        """End."""

    @property
    @abstractmethod
    def aio(self) -> "AsyncResonate":
        """The form for coroutines."""

    def serve(self) -> None:
        """Serve calls of the group until SIGINT or SIGTERM, then stop.

        The process is taken for one that does nothing else: Python's collector of cycles leaves
        alone what is there by now, and looks less often (`resonate_sdk.collector`).
        """
        with caught(signal.SIGINT, signal.SIGTERM) as wait:
            self.start()
            look_seldom()
            wait()
        self.stop()

    def __enter__(self) -> Self:
        """Use the client in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop at its end."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Use the client in an `async with` block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop at its end."""
        await self.aio.stop()
