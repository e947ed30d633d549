"""A peer and our system on one machine in one run, in turns, and how many times faster either is."""

import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psycopg
from msgspec import Struct
from msgspec.structs import replace
from psycopg import sql

from resonate_sdk import Resonate
from scripts.benchmark.cluster import Cluster, NotStartedError, Process, cluster
from scripts.benchmark.peers.environments import NotInstalledError, environment
from scripts.benchmark.peers.registry import PEERS, Peer, database_name
from scripts.benchmark.rows import Row, Timing, sum_up
from scripts.benchmark.workloads import WORKLOADS, repeat

WARM_UP_S = 3.0
ROUND_END_S_MAX = 300.0  # for what is under way when a round is over

Measure = Callable[[float], Timing]
"""Measures one round of so many seconds."""


class PeerError(Exception):
    """A peer has ended in the middle of a measurement."""


class Order(Struct, frozen=True):
    """What the client of a peer is told to do."""

    workload: str
    in_flight: int
    seconds: float


class RunningPeer(Struct, frozen=True):
    """The processes of a peer; the last one is its client."""

    processes: dict[str, Process]

    @property
    def about(self) -> str:
        """What it is, and which version."""
        return self.processes["client"].about

    def measure(self, workload: str, in_flight: int, seconds: float) -> Timing:
        """Let its client measure one round."""
        order = msgspec.json.encode(Order(workload, in_flight, seconds)).decode()
        said = self.processes["client"].ask(order, timeout_s=seconds + ROUND_END_S_MAX)
        if not said:
            raise PeerError(f"the client of {self.about} has ended")
        return msgspec.json.decode(said, type=Timing)

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds used so far, by process."""
        return {name: process.cpu_s() for name, process in self.processes.items()}

    def peak_mb(self) -> dict[str, float]:
        """The most memory used so far, by process."""
        return {name: process.peak_mb() for name, process in self.processes.items()}


def compare_all(
    names: Sequence[str], workloads: Sequence[str], rounds: int, seconds: float
) -> Iterator[Row]:
    """Compare with several peers; of one that cannot be had, or ends, say so and leave it out."""
    for name in names:
        for workload, reason in PEERS[name].left_out.items():
            if workload in workloads:
                print(f"{name} is not measured with {workload}: {reason}", file=sys.stderr)
        try:
            yield from compare(name, workloads, rounds, seconds)
        except (NotInstalledError, NotStartedError, PeerError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)


def compare(name: str, workloads: Sequence[str], rounds: int, seconds: float) -> Iterator[Row]:
    """Measure a peer and our system in turns: rows of the peer, each with ours in it.

    Raises:
        NotInstalledError: the peer cannot be had here.
        NotStartedError: it cannot be run here.
        PeerError: it has ended.
    """
    peer = PEERS[name]
    packages = environment(name, peer.requirements, peer.npm_packages)
    with (
        cluster() as running,
        _started(peer, packages, running) as other,
        Resonate.remote(group="bench-client") as client,
    ):
        for workload in (w for w in workloads if w in peer.workloads):
            begin, operations = WORKLOADS[workload].begin, WORKLOADS[workload].operations
            for in_flight in WORKLOADS[workload].in_flight:
                ours = _Turns(partial(repeat, client, begin, in_flight), running.cpu_s)
                theirs = _Turns(
                    partial(other.measure, workload, in_flight),
                    lambda: other.cpu_s() | running.services_cpu_s(),
                )
                for system in (ours, theirs):
                    system.warm_up()
                for _ in range(rounds):
                    for system in (ours, theirs):
                        system.take_turn(seconds)
                if ours.is_empty or theirs.is_empty:
                    lame = name if theirs.is_empty else "this system"
                    reason = f"no call of {lame} has ended in a round"
                    print(f"{name}, {workload} at {in_flight}: {reason}", file=sys.stderr)
                    continue
                yield replace(
                    theirs.row(workload, in_flight, operations, other.peak_mb()),
                    peer=name,
                    system=other.about,
                    ours=ours.row(workload, in_flight, operations, running.peak_mb()),
                )


class _Turns:
    """One of two systems that take turns, and what it has used in its own."""

    def __init__(self, measure: Measure, cpu_s: Callable[[], Mapping[str, float]]) -> None:
        self._measure = measure
        self._cpu_s = cpu_s
        self._timings: list[Timing] = []
        self._used_s: dict[str, float] = {}

    def warm_up(self) -> None:
        """Let it run, without looking."""
        self._measure(WARM_UP_S)

    def take_turn(self, seconds: float) -> None:
        """Measure one round."""
        before = self._cpu_s()
        self._timings.append(self._measure(seconds))
        for name, used_s in self._cpu_s().items():
            self._used_s[name] = self._used_s.get(name, 0.0) + used_s - before[name]

    @property
    def is_empty(self) -> bool:
        """Whether nothing has ended in its turns."""
        return not any(timing.latencies_ms for timing in self._timings)

    def row(
        self, workload: str, in_flight: int, operations: int, peak_mb: Mapping[str, float]
    ) -> Row:
        """What it has reached."""
        return sum_up(
            workload,
            in_flight,
            self._timings,
            operations=operations,
            cpu_s=self._used_s,
            peak_mb=peak_mb,
        )


@contextmanager
def _started(peer: Peer, packages: Path, running: Cluster) -> Generator[RunningPeer]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="resonate-bench-peer-"))
        database = _new_database(running.database_url) if peer.needs_database else ""
        processes: dict[str, Process] = {}
        for name, command, settings in peer.commands(packages, Path(folder), running, database):
            process = Process(name, command, settings, cwd=folder)
            stack.callback(process.stop)
            processes[name] = process
        yield RunningPeer(processes)


def _new_database(url: str) -> str:
    """Create an empty database beside ours, which goes with its server; its URL."""
    name = database_name()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return urlsplit(url)._replace(path=f"/{name}").geturl()
