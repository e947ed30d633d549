"""What a workload runs on: private services, a server and workers, each a process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from resonate_broker.dev import PrivatePostgres, PrivateRabbitMQ

READY_LINE = "ready"
WORKER_GROUP = "bench"
NAMESPACE = "bench"
SLOTS = 64  # of a worker, as the SDK has it
STOP_TIMEOUT_S = 20


class Process:
    """A process of the benchmark."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str]) -> None:
        """Start it, and wait until it says that it is ready."""
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None, "its output was asked for"
        line = self._process.stdout.readline().strip()
        if line != READY_LINE:
            self.stop()
            sys.exit(f"{name} did not start; it said {line!r}")

    def cpu_s(self) -> float:
        """CPU seconds it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """The most memory it has had, in MiB."""
        return peak_mb(self._process.pid)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Cluster(Struct, frozen=True):
    """A running system.

    Attributes:
        url: of its broker.
        processes: the server and the workers, by name.
    """

    url: str
    processes: dict[str, Process]

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds used so far, by process."""
        return {name: process.cpu_s() for name, process in self.processes.items()}

    def peak_mb(self) -> dict[str, float]:
        """The most memory used so far, by process, this one included."""
        peaks = {name: process.peak_mb() for name, process in self.processes.items()}
        return peaks | {"client": peak_mb(os.getpid())}


def now_s() -> float:
    """The clock that all processes of this machine share: seconds since the epoch."""
    return time.time()  # noqa: TID251  # nothing is decided by it


def peak_mb(pid: int) -> float:
    """The most memory that a process has had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return round(int(kib) / 1024, 1)


@contextmanager
def services() -> Generator[dict[str, str]]:
    """Start RabbitMQ and PostgreSQL, and end them; their URLs, as variables of an environment."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="resonate-bench-")))
        folder.chmod(0o755)  # PostgreSQL runs as a user of its own there
        postgres = stack.enter_context(PrivatePostgres(folder / "postgres"))
        rabbitmq = stack.enter_context(PrivateRabbitMQ(folder / "rabbitmq"))
        yield {"RESONATE_URL": rabbitmq.url, "RESONATE_DATABASE_URL": postgres.url}


@contextmanager
def system(
    urls: dict[str, str],
    namespace: str = NAMESPACE,
    group: str = WORKER_GROUP,
    *,
    slots: int = SLOTS,
    workers: int = 1,
) -> Generator[Cluster]:
    """Start a server and workers in a namespace of services, and end them."""
    environment = urls | {"RESONATE_NAMESPACE": namespace}
    with ExitStack() as stack:
        processes: dict[str, Process] = {}
        for name, arguments in _processes(group, slots, workers):
            process = Process(name, arguments, environment)
            stack.callback(process.stop)
            processes[name] = process
        yield Cluster(urls["RESONATE_URL"], processes)


@contextmanager
def cluster(
    group: str = WORKER_GROUP, *, slots: int = SLOTS, workers: int = 1
) -> Generator[Cluster]:
    """Start everything, and end it; clients of this process find it by its environment."""
    with (
        services() as urls,
        system(urls, NAMESPACE, group, slots=slots, workers=workers) as running,
    ):
        os.environ |= urls | {"RESONATE_NAMESPACE": NAMESPACE}
        yield running


def _processes(group: str, slots: int, workers: int) -> Iterator[tuple[str, list[str]]]:
    yield "server", ["scripts.benchmark.server"]
    for number in range(1, workers + 1):
        name = "worker" if workers == 1 else f"worker {number}"
        yield name, ["scripts.benchmark.worker", group, str(slots)]
