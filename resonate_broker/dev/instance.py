"""What the private servers have in common: a life that can be ended and begun again at any point."""

import logging
import signal
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from resonate_broker.dev.folder import locked
from resonate_broker.dev.ports import is_free, keep_port, kept_port
from resonate_broker.dev.process import (
    GuardedProcess,
    InstanceError,
    Launch,
    end_of_log,
    wait_until,
)

logger = logging.getLogger(__name__)


class PrivateServer(ABC):
    """A server of this process in a folder of its own, on loopback and a port of its own.

    The folder keeps data and ports: the next start, by this process or a later one, finds both.
    The server ends with this process, also when this process is killed. Calls block, and one
    instance is used by one thread at a time.
    """

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    """The ports that the server listens on; the first is the one for clients."""
    stop_signal: ClassVar[signal.Signals]
    start_ms_max: ClassVar[int]
    stop_ms_max: ClassVar[int]

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._process: GuardedProcess | None = None

    def start(self) -> None:
        """Return when the server accepts connections; do nothing while it runs.

        Raises:
            InstanceError: the server is not installed, its folder or its port is not to be had, or
                it did not come up in time. Nothing of it runs then.
        """
        if self.is_running:
            return
        self.kill()
        began_at = time.monotonic()
        with locked(self.folder) as lock, ExitStack() as on_failure:
            self._claim_ports()
            launch = self._prepare(lock)
            self._process = self._run(launch, lock)
            on_failure.callback(self.kill)
            self._wait_until_accepting(self._process)
            on_failure.pop_all()
        duration_ms = round((time.monotonic() - began_at) * 1000)
        logger.info("%s started port=%d duration_ms=%d", self.name, self.port, duration_ms)

    def stop(self) -> None:
        """End the server in an orderly way, or kill it when it takes too long."""
        if self._process is None:
            return
        if not self._process.stop(self.stop_ms_max):
            logger.warning("%s killed, did not stop port=%d", self.name, self.port)
        self._process = None
        logger.info("%s stopped port=%d", self.name, self.port)

    def kill(self) -> None:
        """Kill all processes of the server with SIGKILL; none is left on return."""
        if self._process is None:
            return
        self._process.kill()
        self._process = None

    def pause(self) -> None:
        """Freeze all processes of the server: it keeps its connections and answers nobody."""
        if self._process is not None:
            self._process.pause()

    def resume(self) -> None:
        """Let a paused server go on."""
        if self._process is not None:
            self._process.resume()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.exit_code is None

    @property
    def pid(self) -> int:
        """The process of which all others of a running server descend."""
        assert self._process is not None, "the server was started"
        return self._process.pid

    @property
    def port(self) -> int:
        """The port for clients; it is there after the first start of the folder."""
        return kept_port(self.folder, self.port_names[0])

    @property
    @abstractmethod
    def url(self) -> str:
        """What clients connect to, credentials included."""

    @property
    def log_path(self) -> Path:
        return self.folder / "server.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @abstractmethod
    def _prepare(self, lock: int) -> Launch:
        """Make the folder ready for a start and say what to run."""

    @abstractmethod
    def _is_accepting(self) -> bool:
        """Tell whether a client that connects now is served."""

    def _run(self, launch: Launch, lock: int) -> GuardedProcess:
        return GuardedProcess(
            launch, stop_signal=self.stop_signal, log_path=self.log_path, lock=lock
        )

    def _claim_ports(self) -> None:
        for name in self.port_names:
            port = keep_port(self.folder, name)
            if not is_free(port):
                raise InstanceError(
                    f"port {port} of the private {self.name} in {self.folder} is taken by another "
                    f"program (remove {name}.port there to get another one)"
                )

    def _wait_until_accepting(self, process: GuardedProcess) -> None:
        def is_decided() -> bool:
            return process.exit_code is not None or self._is_accepting()

        in_time = wait_until(is_decided, self.start_ms_max)
        if process.exit_code is not None:
            raise InstanceError(
                f"{self.name} ended with exit code {process.exit_code} instead of accepting "
                f"connections, {end_of_log(self.log_path)}"
            )
        if not in_time:
            raise InstanceError(
                f"{self.name} accepted no connections on port {self.port} within "
                f"{self.start_ms_max} ms, {end_of_log(self.log_path)}"
            )
