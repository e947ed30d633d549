"""Ten workers that die, hear nothing or hear late, and what must be true of what they did."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from resonate_sdk import CanceledError, Constant, Handle, HandleTimeout, ResonateError
from resonate_sdk.client.promises import PromiseRecord
from resonate_sdk.protocol import tags as tag
from resonate_sdk.testing import Environment
from resonate_sdk.testing.environment import Process
from tests.fleet.programs import (
    FUNCTIONS,
    RETRY_S,
    FlakyError,
    Program,
    ProgramError,
    plainly,
    random_program,
)

GROUP = "fleet"
WORKERS = 10
IDS = 100
STEP_S = 0.5
STEPS_PER_COMMAND = 10
LONG_S = 30 * 86_400
SHORT_S = 60.0
CACHE_SIZES = (0, 2, 1_000)
LOSS = 0.15
DUPLICATION = 0.05
DELAY_S = (0.0, 2.0)
CUT = 1 / 2_000
RETURN = 0.1
MINUTES_AFTER_MAX = 24 * 60


class BrokenError(AssertionError):
    """Something is not as it must be; the message has the seed."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What a run has come to.

    Attributes:
        promises: how many were made.
        states: how they ended.
        deaths: how many processes have died.
        requests: what the processes asked for, in order: the log of the run.
    """

    promises: int
    states: Mapping[str, int]
    deaths: int
    requests: tuple[tuple[Any, ...], ...]


def simulate(seed: int, steps: int, death: float) -> Outcome:
    """Run a fleet, then let everything come to its end without faults.

    Args:
        seed: of everything.
        steps: how long faults last, in steps of half a second.
        death: how probable it is that a worker dies in a step.

    Raises:
        BrokenError: what it came to is wrong.
    """
    with Environment(seed=seed) as env:
        fleet = Fleet(env, seed, death)
        for number in range(steps):
            fleet.step(number)
        fleet.end()
        return fleet.outcome()


class Fleet:
    """The processes of one run, and what was asked of them."""

    def __init__(self, env: Environment, seed: int, death: float) -> None:
        """Start all workers."""
        self.env = env
        self.seed = seed
        self.random = random.Random(seed)
        self.death = death
        self.deaths = 0
        env.dependencies[random.Random] = random.Random(seed)
        self.workers = [self._worker() for _ in range(WORKERS)]
        self.client = env.client("callers").options(target=GROUP)
        self.programs = {f"x{n}": random_program(self.random) for n in range(IDS)}
        self.cut: set[Process] = set()
        self.handles: list[tuple[str, Handle[Any]]] = []
        self.seen: dict[str, PromiseRecord[Any]] = {}
        env.drop(LOSS)
        env.duplicate(DUPLICATION)
        env.delay(DELAY_S)

    def step(self, number: int) -> None:
        """Let half a second pass, and somebody die, perhaps."""
        if number % STEPS_PER_COMMAND == 0:
            self._command()
        for worker in self.workers:
            self._trouble(worker)
        self.env.advance(STEP_S)

    def end(self) -> None:
        """Repair everything, and wait for the end of what is under way."""
        self.env.drop(0)
        self.env.duplicate(0)
        self.env.delay((0, 0))
        for worker in self.workers:
            worker.transport.crash = None
            self._repair(worker)
        for _ in range(MINUTES_AFTER_MAX):
            self.env.advance(minutes=1)
            if not [record for record in self._promises() if record.pending]:
                return
        pending = [record.id for record in self._promises() if record.pending]
        self._broken(f"it has not ended a day after the last fault: {pending[:5]} are pending")

    def outcome(self) -> Outcome:
        """Check all that was done.

        Raises:
            BrokenError: something is wrong with it.
        """
        promises = {record.id: record for record in self._promises()}
        for record in promises.values():
            self._check_value(record)
            self._check_parent(record, promises)
        for id, handle in self.handles:
            self._check_handle(handle, promises[id])
        return Outcome(
            promises=len(promises),
            states=Counter(record.state for record in promises.values()),
            deaths=self.deaths,
            requests=tuple((e.at_ms, e.pid, e.what, e.status) for e in self.env.journal),
        )

    # What happens

    def _worker(self) -> Process:
        cache_size = self.random.choice(CACHE_SIZES)
        return self.env.worker(
            GROUP, register=FUNCTIONS, cache_size=cache_size, retry_policy=Constant(RETRY_S)
        )

    def _command(self) -> None:
        id = self.random.choice([*self.programs])
        program = self.programs[id]
        timeout = self.random.uniform(1, SHORT_S) if self.random.random() < 0.2 else LONG_S
        alive = [w for w in self.workers if not w.is_dead and w not in self.cut]
        if alive and self.random.random() < 0.3:
            client = self.random.choice(alive).client.options(timeout=timeout)
            client.begin_run(id, program.func, program)
        else:
            handle = self.client.options(timeout=timeout).begin_rpc(id, program.func, program)
            self.handles.append((id, handle))

    def _trouble(self, worker: Process) -> None:
        if worker.is_dead or worker in self.cut:
            if self.random.random() < RETURN:
                self._repair(worker)
        elif self.random.random() < self.death:
            step = worker.transport.steps + self.random.randint(1, 5)
            self.env.crash(worker, step=step, side=self.random.choice(("before", "after")))
        elif self.random.random() < CUT:
            self.cut.add(worker)
            self.env.partition(worker)

    def _repair(self, worker: Process) -> None:
        if worker.is_dead:
            self.deaths += 1
            self.cut.discard(worker)
            self.env.restart(worker)
        elif worker in self.cut:
            self.cut.discard(worker)
            self.env.heal(worker)

    # What must be so

    def _promises(self) -> Iterable[PromiseRecord[Any]]:
        """All promises; what has settled must not change."""
        found = [*self.client.promises.search(limit=1_000)]
        for record in found:
            before = self.seen.get(record.id)
            if before is not None and not before.pending and _end(before) != _end(record):
                self._broken(f"{record.id} was {_end(before)}, and now is {_end(record)}")
            self.seen[record.id] = record
        return found

    def _check_value(self, record: PromiseRecord[Any]) -> None:
        """Every call of a program gives what plain recursion gives, wherever it was made."""
        asked = record.param
        if not isinstance(asked, dict) or asked["func"] == "waiter":
            return
        program = msgspec.convert(asked["args"][0], Program)
        is_short = (record.timeout_at - record.created_at) / 1000 < 2 * SHORT_S
        if is_short and record.timedout:
            return
        try:
            found: Any = record.result()
        except FlakyError as error:
            if is_short:
                return  # there was no time for one more attempt
            found = error
        except (ProgramError, CanceledError, TimeoutError, ResonateError) as error:
            found = error
        try:
            expected: Any = plainly(program)
        except ProgramError as error:
            expected = error
        if (type(found), str(found)) != (type(expected), str(expected)):
            self._broken(f"{record.id} gave {found!r}, plain recursion gives {expected!r}")

    def _check_parent(
        self, record: PromiseRecord[Any], promises: Mapping[str, PromiseRecord[Any]]
    ) -> None:
        """A function ends after everything that it has started."""
        parent = promises.get(record.tags.get(tag.PARENT, ""))
        is_detached = record.tags.get(tag.ORIGIN) == record.id
        if parent is None or parent is record or is_detached or parent.timedout:
            return
        assert record.settled_at is not None, "everything has ended"
        assert parent.settled_at is not None, "everything has ended"
        if record.settled_at > parent.settled_at:
            self._broken(f"{record.id} ended after {parent.id}, which had started it")

    def _check_handle(self, handle: Handle[Any], record: PromiseRecord[Any]) -> None:
        """Who waits gets what is stored."""
        ends: list[str] = []
        for result in (lambda: handle.result(0), record.result):
            try:
                ends.append(repr(result()))
            except HandleTimeout:
                self._broken(f"the handle of {record.id} has not heard of its end")
            except Exception as error:  # noqa: BLE001  # it is compared with the other
                ends.append(f"{type(error).__name__}: {error}")
        if ends[0] != ends[1]:
            self._broken(f"a handle of {record.id} gave {ends[0]}, stored is {ends[1]}")

    def _broken(self, what: str) -> None:
        raise BrokenError(f"seed {self.seed}: {what}")


def _end(record: PromiseRecord[Any]) -> tuple[Any, ...]:
    return record.state, record.settled_at, record.value
