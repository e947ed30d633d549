"""A short function's promise is created and settled in one trip, where nobody can tell (C11)."""

import pytest

from resonate_sdk import Constant
from resonate_sdk.execution.effects import (
    CallFunction,
    CreateChild,
    Done,
    RunCoroutine,
    SettleChild,
    StartTimer,
)
from resonate_sdk.execution.execution import Execution
from resonate_sdk.functions.callee import describe
from resonate_sdk.options import NO_OPTIONS


def step(ctx, value=None):
    return value


def short(ctx):
    return 5
    yield


def start(world, func, *, is_complete=True):
    world.start(func).close()
    root = world.server.promises["x"]
    others = [record for id, record in world.server.promises.items() if id != "x"]
    callee = describe(func)
    return Execution(
        world.environment,
        root,
        others,
        callee,
        (),
        {},
        NO_OPTIONS,
        1,
        is_preload_complete=is_complete,
    )


def kinds(progress):
    return [type(effect) for effect in progress.effects]


@pytest.mark.parametrize("func", [step, short])
def test_it_is_created_and_settled_together(world, func):
    def parent(ctx):
        return (yield ctx.run(func))

    progress = start(world, parent).advance()

    assert kinds(progress) == [CreateChild, SettleChild]


def test_the_function_goes_on_when_the_server_has_both(world):
    def parent(ctx):
        return (yield ctx.run(step, 1)) + (yield ctx.run(step, 2))

    execution = start(world, parent)
    first = execution.advance()
    assert kinds(execution.advance([world.carry_out(first.effects[0])])) == []
    second = execution.advance([world.carry_out(first.effects[1])])
    assert kinds(second) == [CreateChild, SettleChild]
    outcome = execution.advance(world.carry_out_all(second.effects)).outcome
    assert world.outcome_of(outcome) == 3


def test_the_record_counts_not_the_value(world):
    def parent(ctx):
        return (yield ctx.run(step, (1, 2)))

    assert world.outcome_of(world.drive(start(world, parent))) == [1, 2]


@pytest.mark.parametrize(
    "call",
    [
        lambda ctx: ctx.run(step).options(id="chosen"),
        lambda ctx: ctx.begin_run(step),
        lambda ctx: ctx.all([ctx.run(step)]),
        lambda ctx: ctx.rpc("step"),
    ],
    ids=["id of its own", "begun", "combined", "remote"],
)
def test_what_others_may_know_of_is_created_first(world, call):
    def parent(ctx):
        yield call(ctx)

    assert kinds(start(world, parent).advance()) == [CreateChild]


def test_without_a_complete_preload_it_is_created_first(world):
    def parent(ctx):
        yield ctx.run(step)

    assert kinds(start(world, parent, is_complete=False).advance()) == [CreateChild]


def test_a_promise_past_its_deadline_is_created_first(world):
    def parent(ctx):
        yield ctx.run(step).options(timeout=0)

    assert kinds(start(world, parent).advance()) == [CreateChild]


def test_a_function_that_calls_others_is_created_before_them(world):
    def child(ctx):
        return (yield ctx.run(step))

    def parent(ctx):
        return (yield ctx.run(child))

    world.drive(start(world, parent))

    assert world.server.ids == ["x.1", "x.1.1"]


def test_a_coroutine_is_created_before_it_runs(world):
    async def child(ctx):
        return 5

    def parent(ctx):
        return (yield ctx.run(child))

    execution = start(world, parent)

    assert kinds(execution.advance()) == [CreateChild, RunCoroutine]
    execution.close()


def test_a_function_that_is_tried_again_is_created_before_the_pause(world):
    def flaky(ctx):
        if ctx.info.attempt == 1:
            raise OSError("not yet")

    def parent(ctx):
        yield ctx.run(flaky).options(retry_policy=Constant(1))

    assert kinds(start(world, parent).advance()) == [CreateChild, StartTimer]


def test_a_function_that_takes_long_can_be_created_while_it_runs(world):
    def parent(ctx):
        promise = yield ctx.begin_run(step)
        yield ctx.run(step)
        yield promise

    execution = start(world, parent)
    (create,) = execution.advance().effects
    progress = execution.advance([world.carry_out(create)])
    assert kinds(progress) == [CallFunction]
    progress = execution.advance([])
    assert kinds(progress) == [CallFunction]

    assert execution.family.unsent() == ("x.2",)
    assert execution.family.take_unsent("x.2") is not None
    assert execution.family.take_unsent("x.2") is None
    execution.close()


def test_a_function_that_waits_in_result_is_created_before_the_pass_is_suspended(world):
    def child(ctx, promise):
        return promise.result()
        yield

    def parent(ctx):
        promise = yield ctx.promise(id="a")
        return (yield ctx.run(child, promise))

    assert world.drive(start(world, parent)).awaited == ("a",)
    assert world.server.ids == ["a", "x.2"]


def test_what_is_canceled_while_it_runs_is_created_first(world):
    def child(ctx):
        yield ctx.run(step)

    def parent(ctx):
        won = yield ctx.race([ctx.run(child), ctx.run(step)])
        yield ctx.run(step)
        return won.index

    execution = start(world, parent)
    progress, calls = execution.advance(), []
    for _ in range(5):
        calls += [effect for effect in progress.effects if isinstance(effect, CallFunction)]
        others = [effect for effect in progress.effects if not isinstance(effect, CallFunction)]
        progress = execution.advance(world.carry_out_all(others))
    assert execution.family.unsent() == ("x.1.1",)
    quick, slow = sorted(calls, key=lambda effect: effect.number)

    progress = execution.advance([world.carry_out(quick)])
    while not any(isinstance(e, SettleChild) and e.id == "x.1.1" for e in progress.effects):
        progress = execution.advance(world.carry_out_all(progress.effects))
    outcome = world.drive(
        execution, [world.carry_out(slow), *world.carry_out_all(progress.effects)]
    )

    assert world.outcome_of(outcome) == 1
    assert [state for id, state in world.server.settled if id == "x.1.1"] == ["rejected_canceled"]


def test_a_crash_before_the_trip_leaves_nothing(world):
    runs = []

    def count(ctx):
        runs.append(ctx.id)

    def parent(ctx):
        yield ctx.run(count)

    start(world, parent).advance()
    assert world.server.ids == []
    assert isinstance(world.drive(start(world, parent)), Done)
    assert runs == ["x.1", "x.1"]
