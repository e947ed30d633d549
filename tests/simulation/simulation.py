"""One simulation, from its seed: servers, clients and faults, and in the end peace."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from msgspec import Struct

from resonate_sdk.protocol import addresses, tags
from resonate_sdk.protocol.records import Rate
from resonate_store.state import Group
from resonate_store.store import Store
from tests.invariants.liveness import unfinished, unsettled
from tests.invariants.responses import Seen
from tests.invariants.stored import is_call
from tests.simulation import faults as weather
from tests.simulation.broker import Broker
from tests.simulation.client import Client
from tests.simulation.database import Database, Run
from tests.simulation.faults import Faults
from tests.simulation.inbox import Application, Inbox
from tests.simulation.observer import Observer
from tests.simulation.requests import GROUPS, Knowledge, Requests
from tests.simulation.server import SimulatedServer
from tests.simulation.services import services_of
from tests.simulation.world import World

REQUESTS = 300
RUN_MS_MAX = 3_600_000
JUST_NOW_MS = 2_500  # a minute's instant may come while we look
FAR_MS = 10_000_000  # later than every deadline that is drawn
PLACES = 3  # of a limited group in the end
JUMPS_MS = (100, 5_000, 70_000)
NEAR_MS = 5_000
RETIRE_MS = 200  # between looks for what is old, while clients are busy
SUBMIT_MS = 500  # between the transactions of an application


class Stores(Struct, frozen=True):
    """Empty stores on one database.

    Attributes:
        each: one for each server.
        run: runs their coroutines.
    """

    each: Sequence[Store]
    run: Run


OpenStores = Callable[[int, Callable[[], int]], AbstractContextManager[Stores]]
"""Opens so many stores on one empty database that has this clock."""


class Outcome(Struct, frozen=True):
    """What a simulation came to.

    Attributes:
        digest: of its trace.
        answers: how often each kind was answered with each status.
    """

    seed: int
    digest: str
    requests: int
    steps: int
    answers: Counter[tuple[str, int]]
    trace: Sequence[str]


class FailedError(AssertionError):
    """A simulation has found something; the message says how to see it again."""

    def __init__(self, seed: int, reason: str, trace: Sequence[str]) -> None:
        self.seed = seed
        self.reason = reason
        self.trace = trace
        again = f"./scripts/simulate --seeds 1 --first-seed {seed} --trace"
        super().__init__(f"seed {seed}: {reason}\nrun it again with: {again}")

    def __reduce__(self) -> tuple[type["FailedError"], tuple[int, str, Sequence[str]]]:
        """How it gets from one process to another."""
        return FailedError, (self.seed, self.reason, self.trace)


def simulate(seed: int, open_stores: OpenStores) -> Outcome:
    """Run the simulation of a seed.

    Raises:
        FailedError: an invariant does not hold.
    """
    world = World(seed)
    servers = world.random.choice((1, 2, 2, 3))
    with open_stores(servers, world.store_now_ms) as stores:
        simulation = Simulation(world, stores)
        try:
            simulation.run()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise FailedError(seed, reason, world.trace) from error
    observer = simulation.observer
    requests = sum(client.sent for client in simulation.clients)
    return Outcome(seed, world.digest(), requests, observer.steps, observer.answers, world.trace)


class Simulation:
    """Servers on one database, clients, and what goes wrong between them."""

    def __init__(self, world: World, stores: Stores) -> None:
        inbox = Inbox()
        seen = Seen()
        self.observer = Observer(inbox, seen)
        self._world = world
        self._stores = stores
        self._faults = weather.draw(world.random)
        world.note(f"faults {self._faults}")
        self._broker = Broker(world, self._weather)
        self._database = Database(
            stores.run, lambda: world.now_ms, world.store_now_ms, self._approach, inbox
        )
        self._limited = world.random.choice(((), (), ("g",), GROUPS))
        for name in self._limited:
            rate = world.random.choice((None, None, Rate(count=1, per_ms=5_000)))
            limit = Group(name=name, concurrency=world.random.choice((1, 2, 5)), rate=rate)
            self._database.limit(stores.each[0], limit)
            self.observer.limited(limit)
        self._window = world.random.choice((1, 3, 1_000))
        self._batch = world.random.choice((1, 5, 50))
        self._retires = world.random.random() < 0.4
        self._servers: dict[int, SimulatedServer | None] = {}
        self._pause_ms = world.random.choice((20, 100, 400))
        for number in range(len(stores.each)):
            self._start_server(number)
        groups = ("g", "g", "h", None)
        self.clients = [
            Client(
                world,
                self._weather,
                self._broker,
                seen,
                self._generation,
                f"{group}{n}",
                group,
                self._limited,
            )
            for n, group in enumerate(groups)
        ]
        knows_nothing = Knowledge("stranger", world.store_now_ms)
        self._strangers = Requests(
            world.random, knows_nothing, self._generation, services=services_of(world)
        )
        self._application = Application(world, inbox, self._strangers, self._notify)

    def run(self) -> None:
        """Let clients and faults do their work, then let the servers finish theirs."""
        for client in self.clients:
            self._let_act(client)
        self._let_submit()
        self._let_retire()
        self._world.after(1_000, self._each_second)
        end_ms = self._world.now_ms + RUN_MS_MAX
        self._world.run_while(lambda: self._sent < REQUESTS, end_ms)
        assert self._sent >= REQUESTS, "the clients came to rest"
        self._make_peace()
        self._world.run(self._world.now_ms + 8_000)
        for name in self._limited:  # now that what was asked before has arrived
            self.clients[0].ask([("group.set", {"name": name, "concurrency": PLACES})])
        for jump_ms in (20_000, 70_000, 700_000):
            self._jump(jump_ms)
            self._world.run(self._world.now_ms + 2_000)
        self._check_idle()
        self._end_schedules()
        self._world.run(self._world.now_ms + 1_000)
        self._retires = True
        self._world.run(self._world.now_ms + 2_000)
        self._jump(FAR_MS)
        self._world.run(self._world.now_ms + 2_000)
        self._jump(100_000)
        self._world.run(self._world.now_ms + 2_000)
        self._touch_all()
        self._world.run(self._world.now_ms + 4_000)
        self._check_end()

    def _weather(self) -> Faults:
        return self._faults

    def _generation(self) -> int:
        return self._sent // 60

    @property
    def _sent(self) -> int:
        return sum(client.sent for client in self.clients)

    def _let_act(self, client: Client) -> None:
        def act() -> None:
            if not client.is_honest:
                client.act()
                self._let_act(client)

        self._world.after(1 + int(self._world.random.expovariate(1 / self._pause_ms)), act)

    def _let_submit(self) -> None:
        def act() -> None:
            if self._faults is not weather.NONE:
                self._application.act()
                for _ in range(self._world.random.choice((0, 1, 1, 2))):
                    self._broker.invoke(self._strangers.invocation())
                self._let_submit()

        self._world.after(1 + int(self._world.random.expovariate(1 / SUBMIT_MS)), act)

    def _notify(self) -> None:
        for server in self._running:
            if self._world.happens(0.5):  # else it looks by itself
                server.notice()

    def _let_retire(self) -> None:
        def act() -> None:
            if self._faults is not weather.NONE:
                for server in self._running:
                    server.retire()
                self._let_retire()

        if self._retires:
            self._world.after(1 + int(self._world.random.expovariate(1 / RETIRE_MS)), act)

    @property
    def _running(self) -> list[SimulatedServer]:
        return [server for server in self._servers.values() if server is not None]

    def _start_server(self, number: int) -> None:
        self._world.note(f"server {number} starts")
        self._servers[number] = SimulatedServer(
            self._world,
            self._weather,
            self._database,
            self._stores.each[number],
            self._broker,
            self.observer,
            number=number,
            window=self._window,
            batch=self._batch,
            clock_ahead_ms=self._world.random.choice((0, 0, -300_000, 300_000)),
            retires=lambda: self._retires,
        )

    def _each_second(self) -> None:
        """What goes wrong by itself."""
        world, faults = self._world, self._faults
        if faults is weather.NONE:
            return
        world.after(1_000, self._each_second)
        if world.happens(faults.clock_jump):
            self._jump(world.random.choice(JUMPS_MS))
        for number, server in self._servers.items():
            if server is None:
                continue
            if world.happens(faults.server_crash):
                self._kill(number, server)
            elif world.happens(faults.server_freeze):
                server.freeze(world.random.choice((100, 2_000, 8_000)))
            elif world.happens(faults.server_deaf):
                server.deafen()
                world.after(world.random.choice((100, 9_000)), server.hear)

    def _kill(self, number: int, server: SimulatedServer) -> None:
        server.die()
        self._servers[number] = None
        self._world.after(
            self._world.random.choice((10, 500, 5_000)), lambda: self._start_server(number)
        )

    def _jump(self, ms: int) -> None:
        self._world.note(f"the clock of the store jumps by {ms} ms")
        self._world.ahead_ms += ms

    def _approach(self, ends_ms: Sequence[int]) -> None:
        """Let the next instant be one at which something ends, or a millisecond beside it."""
        now_ms = self._world.store_now_ms()
        near = [end_ms for end_ms in ends_ms if now_ms < end_ms <= now_ms + NEAR_MS]
        if near and self._world.happens(self._faults.clock_edge):
            at_ms = self._world.random.choice(near) + self._world.random.choice((-1, 0, 0, 1))
            self._jump(max(0, at_ms - now_ms))

    def _make_peace(self) -> None:
        self._world.note("peace")
        self._faults = weather.NONE
        for client in self.clients:
            client.is_honest = True
        for group in GROUPS:
            self.clients[0].ask([("hello", {"pid": self.clients[0].pid, "group": group})])

    def _check_idle(self) -> None:
        """Workers have taken whatever was to be had, and nothing is due or owed."""
        stored, now_ms = self.observer.stored, self._world.store_now_ms()
        before_ms = now_ms - JUST_NOW_MS  # schedules never rest: what has just begun may go on
        left = list(unfinished(stored, before_ms))
        for promise in stored.promises.values():
            task = promise.task
            if task is None or task.state not in ("pending", "acquired"):
                continue
            if promise.created_at_ms > before_ms or is_call(promise):
                continue  # who is called may never reply
            target = addresses.parse(promise.tags[tags.TARGET])
            is_waiting = task.retry_at_ms is not None and task.retry_at_ms > now_ms
            is_reachable = target.cast == "any" or target.pid in self._pids
            if is_reachable and not (is_waiting and task.hint_at_ms is None):
                left.append(f"109: nobody has carried out {promise}")
        assert not left, "\n".join(left)

    @property
    def _pids(self) -> list[str]:
        return [client.pid for client in self.clients]

    def _end_schedules(self) -> None:
        """While there are schedules, there is always something to come."""
        for id in sorted(self.observer.stored.schedules):
            self.clients[0].ask([("schedule.delete", {"id": id})])

    def _touch_all(self) -> None:
        """Read each promise: an internal one is settled when somebody looks."""
        ids = sorted(self.observer.stored.promises)
        for start in range(0, len(ids), 100):
            some = ids[start : start + 100]
            self.clients[-1].ask([("promise.get", {"id": id}) for id in some])

    def _check_end(self) -> None:
        stored = self.observer.stored
        self.observer.check_stored(self._database.snapshot(self._stores.each[0]))
        left = [*unfinished(stored, self._world.store_now_ms()), *unsettled(stored)]
        left += [f"C19: nobody has taken {row}" for row in self.observer.inbox.waiting.values()]
        assert not left, "\n".join(left)
        self.observer.check_retired()
