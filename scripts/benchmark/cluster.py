"""What a workload runs on: private services, a server and workers, each a process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer

from msgspec import Struct

from resonate_broker.dev import PrivatePostgres, PrivateRabbitMQ

READY_LINE = "ready"
WORKER_GROUP = "bench"
NAMESPACE = "bench"
SLOTS = 64  # of a worker, as the SDK has it
STOP_TIMEOUT_S = 20


class NotStartedError(Exception):
    """A process did not start, and the message says what it said."""


class Process:
    """A process of the benchmark, with those that it starts itself."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        cwd: str | None = None,
    ) -> None:
        """Start it, and wait until it says that it is ready.

        Raises:
            NotStartedError: it ends, or says something else.
        """
        self.name = name
        self._process = subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )
        said = self.read_line()
        if said.split(" ", 1)[0] != READY_LINE:
            self.stop()
            raise NotStartedError(f"{name} did not start; it said {said!r}")
        self.about = said.removeprefix(READY_LINE).strip()

    def ask(self, order: str, *, timeout_s: float) -> str:
        """Send it a line, and wait for the line that it answers; empty if it has ended.

        Args:
            order: the line.
            timeout_s: when to kill it.
        """
        assert self._process.stdin is not None, "its input was asked for"
        overdue = Timer(timeout_s, self._process.kill)
        overdue.start()
        try:
            self._process.stdin.write(f"{order}\n")
            self._process.stdin.flush()
            return self.read_line()
        except BrokenPipeError:
            return ""
        finally:
            overdue.cancel()

    def read_line(self) -> str:
        """Wait for a line of its output; empty when it has ended."""
        assert self._process.stdout is not None, "its output was asked for"
        return self._process.stdout.readline().strip()

    def cpu_s(self) -> float:
        """CPU seconds it has used."""
        return family_cpu_s(self._process.pid)

    def peak_mb(self) -> float:
        """The most memory it has had, in MiB; with children, the sum of what each has had."""
        return round(sum(peak_mb(pid) for pid in family(self._process.pid)), 1)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def family(pid: int) -> Iterator[int]:
    """A process and all that it has started, directly or not, as far as they live."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(task).split():
            yield from family(int(child))


def family_cpu_s(pid: int) -> float:
    """CPU seconds that a process and those it has started have used."""
    ticks = 0
    for member in family(pid):
        fields = _read(Path(f"/proc/{member}/stat")).rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _read(path: Path) -> str:
    """A file of a process; empty when it has ended meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""


class Cluster(Struct, frozen=True):
    """A running system.

    Attributes:
        url: of its broker.
        database_url: of its database.
        services: broker and database, by name: the process of which each descends.
        processes: the server and the workers, by name.
    """

    url: str
    database_url: str
    services: dict[str, int]
    processes: dict[str, Process]

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds used so far, by process, this one included."""
        used_s = {name: process.cpu_s() for name, process in self.processes.items()}
        return used_s | {"client": time.process_time()} | self.services_cpu_s()

    def services_cpu_s(self) -> dict[str, float]:
        """CPU seconds used so far by broker and database."""
        return {name: family_cpu_s(pid) for name, pid in self.services.items()}

    def peak_mb(self) -> dict[str, float]:
        """The most memory used so far, by process, this one included."""
        peaks = {name: process.peak_mb() for name, process in self.processes.items()}
        return peaks | {"client": peak_mb(os.getpid())}


def now_s() -> float:
    """The clock that all processes of this machine share: seconds since the epoch."""
    return time.time()  # noqa: TID251  # nothing is decided by it


def peak_mb(pid: int) -> float:
    """The most memory that a process has had, in MiB."""
    lines = _read(Path(f"/proc/{pid}/status")).splitlines()
    kib = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "0")
    return round(int(kib) / 1024, 1)


class Services(Struct, frozen=True):
    """RabbitMQ and PostgreSQL.

    Attributes:
        urls: of both, as variables of an environment.
        pids: the process of which each descends, by name.
    """

    urls: dict[str, str]
    pids: dict[str, int]


@contextmanager
def services() -> Generator[Services]:
    """Start RabbitMQ and PostgreSQL, and end them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="resonate-bench-")))
        folder.chmod(0o755)  # PostgreSQL runs as a user of its own there
        postgres = stack.enter_context(PrivatePostgres(folder / "postgres"))
        rabbitmq = stack.enter_context(PrivateRabbitMQ(folder / "rabbitmq"))
        yield Services(
            {"RESONATE_URL": rabbitmq.url, "RESONATE_DATABASE_URL": postgres.url},
            {"rabbitmq": rabbitmq.pid, "postgres": postgres.pid},
        )


@contextmanager
def system(
    urls: dict[str, str],
    namespace: str = NAMESPACE,
    group: str = WORKER_GROUP,
    *,
    slots: int = SLOTS,
    workers: int = 1,
    services: dict[str, int] | None = None,
) -> Generator[Cluster]:
    """Start a server and workers in a namespace of services, and end them.

    With the processes of the services their CPU time is measured, too.
    """
    environment = urls | {"RESONATE_NAMESPACE": namespace}
    with ExitStack() as stack:
        processes: dict[str, Process] = {}
        for name, arguments in _processes(group, slots, workers):
            process = Process(name, [sys.executable, "-m", *arguments], environment)
            stack.callback(process.stop)
            processes[name] = process
        yield Cluster(
            urls["RESONATE_URL"], urls["RESONATE_DATABASE_URL"], services or {}, processes
        )


@contextmanager
def cluster(
    group: str = WORKER_GROUP, *, slots: int = SLOTS, workers: int = 1
) -> Generator[Cluster]:
    """Start everything, and end it; clients of this process find it by its environment."""
    with (
        services() as both,
        system(
            both.urls, NAMESPACE, group, slots=slots, workers=workers, services=both.pids
        ) as running,
    ):
        os.environ |= both.urls | {"RESONATE_NAMESPACE": NAMESPACE}
        yield running


def _processes(group: str, slots: int, workers: int) -> Iterator[tuple[str, list[str]]]:
    yield "server", ["scripts.benchmark.server"]
    for number in range(1, workers + 1):
        name = "worker" if workers == 1 else f"worker {number}"
        yield name, ["scripts.benchmark.worker", group, str(slots)]
