"""A server and workers as processes, to be killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from resonate_store.postgres.migrate import migrate
from tests.acceptance.recovery.journal import Journal
from tests.processes import wait_until

READY_SECONDS = 60
STOP_SECONDS = 60  # a worker may drain for half of that


class Deployment:
    """Processes of one namespace on one broker and one database."""

    def __init__(self, folder: Path, url: str, database_url: str, namespace: str) -> None:
        self.url = url
        self.namespace = namespace
        self.journal = Journal(folder)
        self._folder = folder
        self._environment = {
            "RESONATE_URL": url,
            "RESONATE_DATABASE_URL": database_url,
            "RESONATE_NAMESPACE": namespace,
        }
        self._started = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def set(self, variable: str, value: str) -> None:
        """Give the processes to come a setting."""
        self._environment[variable] = value

    def migrate(self) -> None:
        """Make the tables, in this process: starting another one takes longer than they do."""
        asyncio.run(migrate(self._environment["RESONATE_DATABASE_URL"], self.namespace))

    def command(self, *arguments: str) -> None:
        """Run `resonate …` to its end."""
        subprocess.run(
            [sys.executable, "-m", "resonate_broker", *arguments],
            env=os.environ | self._environment,
            check=True,
            timeout=READY_SECONDS,
            stdout=subprocess.DEVNULL,
        )

    def start_server(self) -> subprocess.Popen[bytes]:
        """Start a server and wait until it takes requests."""
        server, log = self._start("resonate_broker", "serve")
        ready = wait_until(
            lambda: b"Serving" in log.read_bytes() or server.poll() is not None,
            seconds=READY_SECONDS,
        )
        assert ready, f"the server is not ready: {log.read_text()}"
        assert server.poll() is None, f"the server has ended: {log.read_text()}"
        return server

    def start_worker(self, group: str) -> subprocess.Popen[bytes]:
        module = "tests.acceptance.recovery.service"
        worker, _ = self._start(module, group, str(self._folder))
        return worker

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """As a power cut does it."""
        process.send_signal(signal.SIGKILL)
        process.wait(STOP_SECONDS)

    @contextmanager
    def frozen(self, process: subprocess.Popen[bytes]) -> Generator[None]:
        """While this is open, a process stands still, with all its connections."""
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def logs(self) -> str:
        return "\n".join(
            f"--- {log.name}\n{log.read_text()[-4000:]}" for log in self._folder.glob("*.log")
        )

    def __enter__(self) -> "Deployment":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait(STOP_SECONDS)
        if error is not None:
            error.add_note(f"journal: {self.journal.lines()}\n{self.logs()}")

    def _start(self, module: str, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        self._started += 1
        log = self._folder / f"{self._started}-{module.split('.')[-1]}-{arguments[0]}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=os.environ | self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process, log
