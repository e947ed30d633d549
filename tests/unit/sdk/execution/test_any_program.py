"""Any program of calls, in any order of events, with any crashes, gives what plain recursion gives.

The server is a dictionary; every targeted promise is a task that somebody works on, pass by pass.
A crash is a pass that is dropped where it stands: what it asked for and was not carried out is
lost, what was carried out stays. A suspended pass may sleep and be woken, or begin anew.
"""

import random
from collections import Counter
from typing import Literal

import pytest
from hypothesis import given, settings, strategies as st
from msgspec import Struct

from resonate_sdk import Never
from resonate_sdk.execution.effects import Done, SettleChild, Suspended, Woken
from resonate_sdk.protocol import tags as tag
from tests.unit.sdk.execution.scripted import Stage, World, plain

PASSES_MAX = 2_000


class Step(Struct, frozen=True):
    """One call of a program.

    Attributes:
        kind: how it is called.
        is_awaited_late: invocations are awaited at the end, the others at once or never.
        program: what is called.
    """

    kind: Literal["run", "begin_run", "rpc", "begin_rpc"]
    is_awaited_late: bool
    program: "Program"


class Program(Struct, frozen=True):
    """What a function does: its calls, then a value or a failure."""

    value: int
    is_failing: bool
    steps: tuple[Step, ...]


def programs():
    leaves = st.builds(
        Program, value=st.integers(0, 9), is_failing=st.booleans(), steps=st.just(())
    )

    def with_steps(inner):
        step = st.builds(
            Step,
            kind=st.sampled_from(["run", "begin_run", "rpc", "begin_rpc"]),
            is_awaited_late=st.booleans(),
            program=inner,
        )
        return st.builds(
            Program,
            value=st.integers(0, 9),
            is_failing=st.booleans(),
            steps=st.lists(step, min_size=1, max_size=4).map(tuple),
        )

    return st.recursive(leaves, with_steps, max_leaves=12)


class ProgramError(Exception):
    pass


def plainly(program: Program) -> int:
    """The oracle: the same program as plain recursion."""
    total = program.value
    late = []
    for step in program.steps:
        if step.kind.startswith("begin"):
            if step.is_awaited_late:
                late.append(step.program)
            continue
        total = 3 * total + value_of(step.program)
    for awaited in late:
        total = 3 * total + value_of(awaited)
    if program.is_failing:
        raise ProgramError(str(total))
    return total


def value_of(program):
    try:
        return plainly(program)
    except ProgramError as error:
        return -int(str(error))


def interpret(ctx, program):
    total = program.value
    late = []
    for step in program.steps:
        func = interpret if step.program.steps else leaf
        argument = step.program if step.kind in ("run", "begin_run") else pack(step.program)
        op = getattr(ctx, step.kind)(func, argument).options(retry_policy=Never())
        if step.kind.startswith("begin"):
            promise = yield op
            if step.is_awaited_late:
                late.append(promise)
            continue
        total = 3 * total + (yield from settled(op))
    for promise in late:
        total = 3 * total + (yield from settled(promise))
    if program.is_failing:
        raise ProgramError(str(total))
    return total


async def interpret_awaiting(ctx, program):
    """The same as a coroutine."""
    total = program.value
    late = []
    for step in program.steps:
        func = interpret_awaiting if step.program.steps else leaf_awaiting
        argument = step.program if step.kind in ("run", "begin_run") else pack(step.program)
        op = getattr(ctx, step.kind)(func, argument).options(retry_policy=Never())
        if step.kind.startswith("begin"):
            promise = await op
            if step.is_awaited_late:
                late.append(promise)
            continue
        total = 3 * total + await awaited(op)
    for promise in late:
        total = 3 * total + await awaited(promise)
    if program.is_failing:
        raise ProgramError(str(total))
    return total


async def awaited(op):
    try:
        return await op
    except ProgramError as error:
        return -int(str(error))


async def leaf_awaiting(ctx, program):
    return leaf(ctx, program)


def settled(op):
    try:
        return (yield op)
    except ProgramError as error:
        return -int(str(error))


def leaf(ctx, program):
    if program.is_failing:
        raise ProgramError(str(program.value))
    return program.value


def pack(program):
    """As plain data, so that it can be an argument of a remote call."""
    steps = [[step.kind, step.is_awaited_late, pack(step.program)] for step in program.steps]
    return [program.value, program.is_failing, steps]


def unpack(data):
    value, is_failing, steps = data
    return Program(
        value, is_failing, tuple(Step(kind, late, unpack(inner)) for kind, late, inner in steps)
    )


STYLES = {"generator": (interpret, leaf), "coroutine": (interpret_awaiting, leaf_awaiting)}


class Cluster:
    """Works on every task there is, in an order and with crashes drawn from a seed.

    Attributes:
        woken: how many passes went on where they stood.
    """

    def __init__(self, program, seed, crash_probability, style="generator", keep_probability=0.0):
        self.random = random.Random(seed)
        self.crash_probability = crash_probability
        self.keep_probability = keep_probability
        self.asleep = {}
        self.woken = 0
        self.world = World(retry_policy=Never())
        self.root, leaf_function = STYLES[style]
        self.world.register(self.root, name="interpret")
        self.world.register(leaf_function, name="leaf")
        self.program = program
        self.waiting_for = {}  # suspended tasks, and what wakes them
        self.start("x").close()

    def work(self):
        """Until nothing can go on."""
        try:
            self._work()
        finally:
            for id in [*self.asleep]:
                self.forget(id)
            self.world.stage.close()

    def _work(self):
        due = {"x"}
        for _ in range(PASSES_MAX):
            if not due:
                return
            id = self.random.choice(sorted(due))
            due.discard(id)
            if not self.run_pass(id):
                due.add(id)  # its lease runs out
            due |= self.awake() | self.unstarted()
        raise AssertionError("it goes on for ever")

    def awake(self):
        """Suspended tasks of which something awaited has settled."""
        server = self.world.server
        awake = {
            id
            for id, awaited in self.waiting_for.items()
            if any(server.state(other) != "pending" for other in awaited)
        }
        for id in awake:
            del self.waiting_for[id]
        return awake

    def unstarted(self):
        server = self.world.server
        return {
            id
            for id, record in server.promises.items()
            if tag.TARGET in record.tags and record.state == "pending"
        } - self.waiting_for.keys()

    def start(self, id):
        server = self.world.server
        if id == "x":
            return self.world.start(self.root, self.program, id=id, is_preloaded=self.preloads())
        call = server.call(id)
        func = self.world.registry.by_name(call["func"]).callee.func
        program = unpack(call["args"][0])
        return self.world.start(func, program, id=id, is_preloaded=self.preloads())

    def preloads(self):
        return self.random.random() < 0.5

    def run_pass(self, id):
        """One pass of a task; False if it crashes."""
        server = self.world.server
        if server.state(id) != "pending":
            return True
        execution, events = self.wake(id) or (self.start(id), [])
        asked = []
        progress = execution.advance(events)
        while progress.outcome is None:
            if self.random.random() < self.crash_probability:
                execution.close()
                self.world.stage.clear()
                return False
            asked += self.world.staged(progress.effects)
            events = [*self.world.stage.turn()]
            assert asked or events or progress.is_ready, (
                "a pass that goes on has asked for something"
            )
            self.random.shuffle(asked)
            count = self.random.randint(0 if events or not asked else 1, len(asked))
            events += [self.carry_out(effect) for effect in asked[:count]]
            del asked[:count]
            progress = execution.advance(events)
        match progress.outcome:
            case Done(state=state, value=value):
                self.world.stage.clear()
                self.check_children_are_settled(id)
                server.settle(id, state, value)
            case Suspended(awaited=awaited):
                assert len(set(awaited)) == len(awaited)
                assert id not in awaited
                self.waiting_for[id] = awaited
                if execution.may_sleep and self.random.random() < self.keep_probability:
                    self.asleep[id] = execution, self.world.stage
                    self.world.stage = Stage(self.world.stage.loop)
                else:
                    execution.close()
                    self.world.stage.clear()
            case other:
                raise AssertionError(other)
        return True

    def wake(self, id):
        """The pass that sleeps, and what has happened meanwhile; None if it must begin anew."""
        if id not in self.asleep:
            return None
        server, (execution, stage) = self.world.server, self.asleep[id]
        others = [server.get(other) for other in server.promises if other != id]
        settled = [record for record in others if record.state != "pending"]
        news = self.random.choice([others, settled])
        if not execution.may_wake_with(news) or self.random.random() < 0.1:
            self.forget(id)
            return None
        del self.asleep[id]
        self.woken += 1
        self.world.stage = stage
        return execution, [Woken(tuple(news))]

    def forget(self, id):
        execution, stage = self.asleep.pop(id)
        execution.close()
        stage.clear()

    def carry_out(self, effect):
        if isinstance(effect, SettleChild):
            self.check_children_are_settled(effect.id)
        return self.world.carry_out(effect)

    def check_children_are_settled(self, id):
        server = self.world.server
        pending = [
            other
            for other, record in server.promises.items()
            if other != id and record.tags[tag.PARENT] == id and record.state == "pending"
        ]
        assert pending == [], f"{id} settles above pending children"


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    program=programs(),
    seed=st.integers(0, 2**32 - 1),
    crash_probability=st.sampled_from([0.0, 0.1, 0.5]),
    style=st.sampled_from([*STYLES]),
    keep_probability=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_it_gives_what_plain_recursion_gives(
    program, seed, crash_probability, style, keep_probability
):
    cluster = Cluster(program, seed, crash_probability, style, keep_probability)
    cluster.work()

    server = cluster.world.server
    assert server.state("x") == ("rejected" if program.is_failing else "resolved")
    if program.is_failing:
        assert server.value("x")["message"] == str(-value_of(program))
    else:
        assert server.value("x") == plainly(program)
    assert [id for id in server.promises if server.state(id) == "pending"] == []
    settled = Counter(id for id, _ in server.settled)
    assert max(settled.values()) == 1, "nothing is settled twice"


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    program=programs(),
    seed=st.integers(0, 2**32 - 1),
    style=st.sampled_from([*STYLES]),
    keep_probability=st.sampled_from([0.0, 0.7]),
)
def test_its_promises_do_not_depend_on_order_and_crashes_and_replays(
    program, seed, style, keep_probability
):
    calm = Cluster(program, 0, 0.0)
    stormy = Cluster(program, seed, 0.3, style, keep_probability)
    calm.work()
    stormy.work()

    check_same_promises(calm.world.server.promises, stormy.world.server.promises)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(program=programs())
def test_a_coroutine_makes_the_promises_that_a_generator_makes(program):
    yielding, awaiting = Cluster(program, 0, 0.0), Cluster(program, 0, 0.0, "coroutine")
    yielding.work()
    awaiting.work()

    check_same_promises(yielding.world.server.promises, awaiting.world.server.promises)


@pytest.mark.parametrize("style", [*STYLES])
def test_a_pass_that_is_always_kept_makes_the_promises_of_one_that_always_begins_anew(style):
    leaf = Program(1, False, ())
    inner = Program(2, True, tuple(Step("rpc", False, leaf) for _ in range(3)))
    step = Step("begin_run", True, inner)
    program = Program(3, False, (Step("rpc", False, inner), step, Step("begin_rpc", True, leaf)))
    cold, warm = Cluster(program, 0, 0.0, style), Cluster(program, 0, 0.0, style, 1.0)
    cold.work()
    warm.work()

    check_same_promises(cold.world.server.promises, warm.world.server.promises)
    assert cold.world.server.get("x").value == warm.world.server.get("x").value
    assert warm.woken > 5


def check_same_promises(some, others):
    assert some.keys() == others.keys()
    for id, record in some.items():
        other = others[id]
        for field in ("state", "timeout_at_ms"):
            assert getattr(record, field) == getattr(other, field)
        assert without_style(record.tags) == without_style(other.tags)
        assert without_style(plain(record.param) or {}) == without_style(plain(other.param) or {})
        if record.state == "resolved":
            assert record.value == other.value


def without_style(fields):
    return {
        key: text.replace("_awaiting", "") if isinstance(text, str) else text
        for key, text in fields.items()
    }
