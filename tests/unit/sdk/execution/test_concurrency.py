"""Local children run beside each other, and beside the function that began them."""

import pytest

from resonate_sdk.execution.bodies import Returned
from resonate_sdk.execution.effects import (
    CreateChild,
    Done,
    FunctionCalled,
    SettleChild,
    Suspended,
)


class ByHand:
    """A pass that hears of the end of a function when the test says so.

    Attributes:
        calls: functions that run, by what they will return.
        outcome: how the pass ended, when it has.
    """

    def __init__(self, world, func, *args):
        self.world = world
        self.execution = world.start(func, *args)
        self.calls = {}
        self.outcome = None
        self._go_on([])

    def end(self, *names):
        """Functions end, in this order and at once."""
        self._go_on([self.calls.pop(name) for name in names])

    def _go_on(self, events):
        progress = self.execution.advance(events)
        while progress.effects or progress.is_ready:
            events = []
            for effect in progress.effects:
                event = self.world.carry_out(effect)
                if isinstance(event, FunctionCalled):
                    assert isinstance(event.outcome, Returned)
                    self.calls[event.outcome.value] = event
                else:
                    events.append(event)
            if not events and not progress.is_ready:
                break
            progress = self.execution.advance(events)
        self.outcome = progress.outcome


def step(ctx, name):
    return name


def test_begun_functions_run_at_the_same_time(world):
    def parent(ctx):
        promises = []
        for name in "abc":
            promises.append((yield ctx.begin_run(step, name)))
        results = []
        for promise in promises:
            results.append((yield promise))
        return results

    run = ByHand(world, parent)

    assert set(run.calls) == set("abc")
    for name in "cab":
        run.end(name)
    assert world.outcome_of(run.outcome) == ["a", "b", "c"]
    assert [id for id, _ in world.server.settled] == ["x.3", "x.1", "x.2"]


def test_a_function_runs_before_its_promise_is_awaited(world):
    def parent(ctx):
        promise = yield ctx.begin_run(step, "a")
        yield ctx.promise(id="answer")
        yield ctx.run(step, "b")
        return (yield promise)

    run = ByHand(world, parent)

    assert set(run.calls) == {"a", "b"}


def test_local_generators_go_on_beside_each_other(world):
    def child(ctx, name):
        first = yield ctx.run(step, f"{name}1")
        second = yield ctx.run(step, f"{name}2")
        return first + second

    def parent(ctx):
        a = yield ctx.begin_run(child, "a")
        b = yield ctx.begin_run(child, "b")
        return [(yield a), (yield b)]

    run = ByHand(world, parent)
    assert set(run.calls) == {"a1", "b1"}
    run.end("b1")
    assert set(run.calls) == {"a1", "b2"}
    run.end("b2")
    run.end("a1")
    while run.outcome is None:
        run.end(*run.calls)

    assert world.outcome_of(run.outcome) == ["a1a2", "b1b2"]


def test_a_parent_that_waits_for_its_child_asks_for_no_thread(world):
    def child(ctx):
        return (yield ctx.rpc("bar"))

    def parent(ctx):
        return (yield ctx.run(child))

    execution = world.start(parent)
    (create,) = execution.advance().effects
    assert isinstance(create, CreateChild)
    (create,) = execution.advance([world.carry_out(create)]).effects
    assert isinstance(create, CreateChild)

    progress = execution.advance([world.carry_out(create)])

    assert progress.effects == ()
    assert progress.outcome == Suspended(("x.1.1",))


def test_a_lone_function_is_called_on_the_thread_that_drives_the_pass(world):
    """What nothing waits beside needs no hop to another thread."""

    def parent(ctx):
        return (yield ctx.run(step, "a"))

    execution = world.start(parent)
    progress = execution.advance(world.carry_out_all(execution.advance().effects))

    assert [type(effect) for effect in progress.effects] == [SettleChild]


@pytest.mark.parametrize("depth", [200])
def test_deep_local_recursion_needs_no_deep_stack(world, depth):
    def down(ctx, n):
        return 0 if n == 0 else 1 + (yield ctx.run(down, n - 1).options(id=f"down-{n}"))

    def parent(ctx):
        return (yield ctx.run(down, depth))

    assert world.result(parent) == depth


def test_local_recursion_deeper_than_pythons_stack_ends(world):
    depth = 3_000

    def down(ctx, n):
        return 0 if n == 0 else 1 + (yield ctx.run(down, n - 1).options(id=f"down-{n}"))

    assert world.result(down, depth) == depth


def fib(ctx, n):
    if n < 2:
        return n
    a = yield ctx.begin_run(fib, n - 1)
    b = yield ctx.begin_run(fib, n - 2)
    return (yield a) + (yield b)


def fib_one_after_the_other(ctx, n):
    if n < 2:
        return n
    return (yield ctx.run(fib_one_after_the_other, n - 1)) + (
        yield ctx.run(fib_one_after_the_other, n - 2)
    )


def fib_with_memory(ctx, n):
    if n < 2:
        return n
    a = yield ctx.begin_run(fib_with_memory, n - 1).options(id=f"fib-{n - 1}")
    b = yield ctx.run(fib_with_memory, n - 2).options(id=f"fib-{n - 2}")
    return (yield a) + b


@pytest.mark.parametrize("func", [fib, fib_one_after_the_other, fib_with_memory])
def test_fibonacci_by_local_calls(world, func):
    assert world.result(func, 10) == 55


def test_fibonacci_with_memory_computes_each_number_once(world):
    world.result(fib_with_memory, 12)

    assert sorted(set(world.server.ids)) == sorted(f"fib-{n}" for n in range(12))
    assert len(world.server.settled) == 12


def test_what_settles_later_resumes_its_waiter_only(world):
    order = []

    def waiter(ctx, name, promise):
        order.append(f"{name} waits")
        value = yield promise
        order.append(f"{name} got {value}")

    def parent(ctx):
        first = yield ctx.begin_run(step, "first")
        second = yield ctx.begin_run(step, "second")
        yield ctx.begin_run(waiter, "a", first)
        yield ctx.begin_run(waiter, "b", second)

    run = ByHand(world, parent)
    run.end("second")
    assert order == ["a waits", "b waits", "b got second"]
    run.end("first")

    assert order[-1] == "a got first"
    assert isinstance(run.outcome, Done)


def test_events_of_one_turn_are_taken_in_their_order(world):
    order = []

    def waiter(ctx, promise):
        order.append((yield promise))

    def parent(ctx):
        for name in "abcd":
            promise = yield ctx.begin_run(step, name)
            yield ctx.begin_run(waiter, promise)

    run = ByHand(world, parent)
    run.end("d", "b", "c", "a")

    assert order == ["d", "b", "c", "a"]
