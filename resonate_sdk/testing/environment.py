"""A server, processes and a clock inside a test. Nothing in here is pretended but time."""

import logging
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from math import inf
from types import TracebackType
from typing import Any, Self

from resonate_sdk.client.resonate import Resonate
from resonate_sdk.debug.histories import History, history
from resonate_sdk.debug.trees import tree
from resonate_sdk.functions.function import Function
from resonate_sdk.functions.registry import Registry
from resonate_sdk.local import LocalServer
from resonate_sdk.options import NO_OPTIONS, Options
from resonate_sdk.testing.fakes import Fake
from resonate_sdk.testing.journal import Entry
from resonate_sdk.testing.loop import FakeClock, Time, VirtualHost
from resonate_sdk.testing.wire import Crash, Side, TestTransport

logger = logging.getLogger(__name__)

START = "2026-01-01T00:00:00+00:00"

Registrable = Callable[..., Any] | Function[..., Any] | Fake


class Process:
    """A process of the test: a client that can die and be started again.

    Attributes:
        client: the client of its present life.
        group: whose calls it serves, if it does.
        is_dead: whether it has died.
    """

    def __init__(self, start: Callable[["Process"], None], group: str, *, serves: bool) -> None:
        """Made by the environment."""
        self._start = start
        self.group = group
        self.serves = serves
        self.is_dead = False
        self.lives = 0
        self.client: Resonate
        self.host: VirtualHost
        self.transport: TestTransport
        self.start()

    @property
    def pid(self) -> str:
        """Its name in this life."""
        return self.client.pid

    def start(self) -> None:
        """Begin a life."""
        self.lives += 1
        self.is_dead = False
        self._start(self)

    def die(self) -> None:
        """End this life, in the middle of whatever it does."""
        self.is_dead = True
        self.transport.die()
        self.host.kill()


class Environment:
    """Everything that durable functions need, for one test.

    Functions run one after the other, on the clock of the environment: the same test does the same
    thing every time.

    Attributes:
        clock: what time it is.
        journal: every request of every process, in order.
        dependencies: what functions of processes that are started from now on get from
            `ctx.get_dependency`.

    Example:
        >>> from resonate_sdk import Context, Workflow
        >>> from resonate_sdk.testing import Environment
        >>> def remind(ctx: Context, days: int) -> Workflow[str]:
        ...     yield ctx.sleep(days * 86_400)
        ...     return "it is time"
        >>> with Environment() as env:
        ...     worker = env.worker(register=[remind])
        ...     handle = env.client().begin_run("reminder", remind, 30)
        ...     env.advance(days=29)
        ...     print(handle.done())
        ...     env.advance(days=1)
        ...     print(handle.result(), env.now.date())
        False
        it is time 2026-01-31
    """

    def __init__(
        self, *, seed: int = 0, start: str | datetime = START, always_replay: bool = False
    ) -> None:
        """Begin at an instant.

        Args:
            seed: of everything that happens by chance.
            start: the instant, aware, or as ISO 8601.
            always_replay: begin each function anew after everything that it has written, so that
                ordinary tests find what a replay would do differently.
        """
        begin = datetime.fromisoformat(start) if isinstance(start, str) else start
        self.seed = seed
        self.clock = FakeClock(begin if begin.tzinfo else begin.replace(tzinfo=UTC))
        self.journal: list[Entry] = []
        self.dependencies: dict[str | type, Any] = {}
        self._always_replay = always_replay
        self._random = random.Random(seed)
        self._server = LocalServer(now_ms=self.clock.now_ms, ticks=False)
        self._time = Time(
            self.clock,
            due_at_ms=self._server.broker.next_due_at_ms,
            is_fine=self._is_fine,
            pass_on=self._server.broker.tick,
        )
        self._registry = Registry()
        self._registered: set[int] = set()
        self._processes: list[Process] = []
        self._keywords: dict[Process, dict[str, Any]] = {}
        self._drop = 0.0
        self._duplicate = 0.0
        self._delay = (0.0, 0.0)
        self._watching: Resonate | None = None

    # Processes

    def worker(
        self, group: str = "default", *, register: Iterable[Registrable] = (), **keywords: Any
    ) -> Process:
        """Start a process that serves the calls of a group.

        Args:
            group: which one.
            register: functions; every process of the environment knows them.
            keywords: as for `Resonate`, such as `ttl`, `retry_policy` or `dependencies`; with a
                `registry` of its own it knows other functions than the rest, as in a deployment.
        """
        for func in register:
            self.register(func)
        return self._new_process(group, serves=True, keywords=keywords)

    def client(self, group: str = "default", **keywords: Any) -> Resonate:
        """Start a process that calls functions and takes no calls of others.

        What it begins with `begin_run` runs inside of it.

        Args:
            group: who goes on with what it runs if it dies.
            keywords: as for `Resonate`.
        """
        return self._new_process(group, serves=False, keywords=keywords).client

    def register(self, func: Registrable, *, name: str | None = None, version: int = 1) -> None:
        """Let every process know a function; the same one may be given again.

        Args:
            func: a function, one that another client has registered, or a fake.
            name: what others call it by.
            version: of it.
        """
        options: Options = NO_OPTIONS
        if isinstance(func, Fake):
            func.install(self._registry)
            return
        if isinstance(func, Function):
            name, version, options = func.name, func.version, func.registered_options
            func = func.func
        if id(func) not in self._registered:
            self._registered.add(id(func))
            self._registry.add(func, name=name, version=version, options=options)

    # Time

    @property
    def now(self) -> datetime:
        """The instant on the clock."""
        return self.clock.now()

    @property
    def elapsed_s(self) -> float:
        """How many seconds have passed since the beginning."""
        return self.clock.elapsed_ms / 1000

    def run_until(self, condition: Callable[[], bool]) -> bool:
        """Let time pass until something is so; False if it never will be."""
        self._time.drive(condition, inf)
        return condition()

    def run_until_idle(self) -> None:
        """Let everything happen that needs no time to pass."""
        self._time.drive(_never, 0)

    def advance(
        self, seconds: float = 0.0, *, days: float = 0, hours: float = 0, minutes: float = 0
    ) -> None:
        """Let time pass, and everything happen that happens meanwhile."""
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        self._time.drive(_never, span.total_seconds())

    # Faults

    def crash(
        self,
        process: Process,
        *,
        at: str | None = None,
        step: int | None = None,
        side: Side = "before",
    ) -> None:
        """Let a process die: now, or when it comes to a place.

        Args:
            process: which one.
            at: a request as the journal names it, such as `create:id.2` or `settle:id.2`.
            step: the number of a checkpoint of this process, counted from one.
            side: `before` the server has heard of it, or `after` it was carried out.
        """
        if at is None and step is None:
            process.die()
            self.run_until_idle()
        else:
            process.transport.crash = Crash(at=at, step=step, side=side)

    def restart(self, process: Process) -> None:
        """Start a process again, under a new name; one that lives dies before."""
        if not process.is_dead:
            self.crash(process)
        process.start()

    def partition(self, process: Process) -> None:
        """Let a process hear nothing, and nobody hear it, until `heal`."""
        process.transport.cut()

    def heal(self, process: Process) -> None:
        """Let a process be heard again."""
        self._time.loop.create_task(process.transport.mend())  # over when nothing happens
        self.run_until_idle()

    def drop(self, probability: float) -> None:
        """Lose messages from now on, by chance: hints and news, which may be lost."""
        self._drop = probability

    def duplicate(self, probability: float) -> None:
        """Deliver messages twice from now on, by chance."""
        self._duplicate = probability

    def delay(self, seconds: tuple[float, float]) -> None:
        """Deliver messages later from now on: between so many and so many seconds."""
        self._delay = seconds

    # Looking

    @property
    def promises(self) -> Any:
        """The promises on the server, as a client sees them."""
        return self._watcher.promises

    def history(self, id: str) -> History:
        """What is stored of an execution, to be saved or replayed."""
        return history(self._watcher, id)

    def tree(self, id: str) -> str:
        """What an execution has done so far, as text."""
        return tree(self.history(id))

    def close(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.die()
        self._time.close()
        self._server.close()

    def __enter__(self) -> Self:
        """Use the environment in a `with` block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it at its end."""
        self.close()

    @property
    def _watcher(self) -> Resonate:
        if self._watching is None:
            self._watching = self.client(group="watcher")
        return self._watching

    def _new_process(self, group: str, *, serves: bool, keywords: dict[str, Any]) -> Process:
        number = len(self._processes) + 1
        shared = {"dependencies": self.dependencies, "registry": self._registry}
        given: dict[str, Any] = {**shared, **keywords}

        def start(process: Process) -> None:
            life = "" if process.lives == 1 else f"-{process.lives}"
            pid = f"{group}-{number}{life}"
            process.host = VirtualHost(self._time, replays_always=self._always_replay)
            process.transport = TestTransport(
                self._server,
                group,
                pid,
                now_ms=self.clock.now_ms,
                journal=self.journal,
                deliver=self._deliver,
                on_crash=process.die,
            )
            process.client = Resonate(
                network=process.transport,
                host=process.host,
                group=group,
                pid=pid,
                autostart=False,
                overlap=False,
                **given,
            )
            if serves:
                process.client.start()
                self.run_until_idle()

        process = Process(start, group, serves=serves)
        self._processes.append(process)
        return process

    def _deliver(self, deliver: Callable[[], None], on_lost: Callable[[], None]) -> None:
        if self._random.random() < self._drop:
            on_lost()
            return
        for _ in range(2 if self._random.random() < self._duplicate else 1):
            earliest, latest = self._delay
            if latest > 0:
                self._time.loop.call_later(self._random.uniform(earliest, latest), deliver)
            else:
                deliver()

    def _is_fine(self) -> bool:
        """Whether timers of clients matter now; else only those of the server do.

        Without that, a month would be half a million heartbeats of nothing.
        """
        are_unreliable = self._drop or self._delay[1]
        alive = [p.client for p in self._processes if not p.is_dead]
        return any(client.is_busy or (are_unreliable and client.is_waiting) for client in alive)


def _never() -> bool:
    return False
