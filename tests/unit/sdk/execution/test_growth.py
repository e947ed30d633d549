"""Ten times as many children cost about ten times as much."""

import gc
import time

import pytest

from resonate_sdk.execution.effects import Done, Suspended
from tests.unit.sdk.execution.scripted import World

FEW, MANY = 300, 3_000
FACTOR_MAX = 12
MEASUREMENTS_MAX = 3


def leaf(ctx, n):
    return n


def in_sequence(ctx, count):
    for n in range(count):
        yield ctx.run(leaf, n)


def fanned_out(ctx, count):
    promises = []
    for n in range(count):
        promises.append((yield ctx.begin_run(leaf, n)))
    total = 0
    for promise in promises:
        total += yield promise
    return total


def fanned_out_remotely_and_joined(ctx, count):
    for n in range(count):
        yield ctx.begin_rpc("bar", n)


def waited_for_by_many(ctx, count):
    answer = yield ctx.promise()
    for _ in range(count):
        yield ctx.begin_run(waiter, answer)


def waiter(ctx, promise):
    return (yield promise)


def first_pass(func, count):
    world = World()
    return world, world.start(func, count)


def replay(func, count):
    """A pass of which every child is settled."""
    world = World()
    if isinstance(world.run(func, count), Suspended):
        for id in [id for id in world.server.promises if world.server.state(id) == "pending"]:
            if id != "x":
                world.server.resolve(id, 0)
        world.run(func, count)
    return world, world.start(func, count)


def seconds(prepare, func, count, passes=1):
    """The processor time of driving passes, without the pauses of the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        prepared = [prepare(func, count) for _ in range(passes)]
        began = time.process_time()
        for world, execution in prepared:
            assert isinstance(world.drive(execution), Done | Suspended)
        return time.process_time() - began
    finally:
        gc.enable()


def growth(prepare, func):
    """How much more one pass with many costs than one with few.

    The few are measured in as many passes as take up the same memory: caches are not at issue.
    Other processes may disturb some of the measurements.
    """
    factors = []
    while len(factors) < MEASUREMENTS_MAX and min(factors, default=FACTOR_MAX + 1) > FACTOR_MAX:
        passes = MANY // FEW
        few = seconds(prepare, func, FEW, passes) / passes
        factors.append(seconds(prepare, func, MANY) / few)
    return min(factors)


@pytest.mark.parametrize("func", [fanned_out, waited_for_by_many])
def test_a_first_pass_does_not_grow_faster_than_its_children(func):
    assert growth(first_pass, func) <= FACTOR_MAX


@pytest.mark.parametrize("func", [in_sequence, fanned_out_remotely_and_joined])
def test_a_replay_of_settled_children_does_not_grow_faster_than_they(func):
    assert growth(replay, func) <= FACTOR_MAX
