"""What a handle waits for."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from resonate_sdk.client.host import Host
from resonate_sdk.errors import UsageError
from resonate_sdk.protocol.records import Value


class HostFuture(Future[Any]):
    """A future that something on a client's host completes."""

    def __init__(self, host: Host) -> None:
        """Wait for something on a host."""
        super().__init__()
        self._host = host
        self._process = os.getpid()

    def result(self, timeout: float | None = None) -> Any:
        """Wait for it."""
        return super().result(self._wait(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for its end."""
        return super().exception(self._wait(timeout))

    def _wait(self, timeout: float | None) -> float | None:
        if not self.done() and self._process != os.getpid():
            raise UsageError(
                "this handle belongs to the process that has forked this one: write "
                "resonate.get(id), which gives one of its own"
            )
        return self._host.wait(self, timeout)


class Result(HostFuture):
    """Is completed with a call that gives the value, which is made by the thread that asks for it.

    Values may be of classes of the user's, which run code of their own when they are made. That
    must not happen on the thread that keeps the leases.

    Attributes:
        decode: makes the value of what is stored.
    """

    def __init__(self, host: Host, decode: Callable[[Value], Any]) -> None:
        """Wait for the end of a promise."""
        super().__init__(host)
        self.decode = decode
        self._value: tuple[Any] | None = None

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the value; the error that there is instead is raised."""
        if self._value is None:
            make = super().result(timeout)
            self._value = (make(),)
        return self._value[0]

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the end; the error, if there is no value."""
        error = super().exception(timeout)
        if error is not None:
            return error
        try:
            self.result()
        except Exception as error:  # noqa: BLE001  # it is returned
            return error
        return None
