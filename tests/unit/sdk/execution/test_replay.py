"""A pass always starts from the first line; what is settled is not done again."""

import pytest
from msgspec.structs import replace

from resonate_sdk import Never
from resonate_sdk.execution.children import settles_here
from resonate_sdk.execution.effects import ChildChanged, CreateChild, Done, SettleChild, Suspended
from resonate_sdk.protocol import tags as tag
from tests.unit.sdk.wire import make_record


class Counted:
    """A function that remembers its runs."""

    def __init__(self, result=None, error=None):
        self.runs = []
        self.result = result
        self.error = error

    def __call__(self, ctx, *args):
        self.runs.append(ctx.id)
        if self.error is not None:
            raise self.error
        return self.result


def effects_of(world, execution):
    """What a pass asks for at all."""
    asked = []
    progress = execution.advance()
    while progress.outcome is None:
        asked += progress.effects
        progress = execution.advance(world.carry_out_all(progress.effects))
    return asked, progress.outcome


def test_a_settled_child_is_not_run_and_nothing_is_written(world):
    step = Counted("done")

    def parent(ctx):
        first = yield ctx.run(step)
        promise = yield ctx.begin_run(step)
        return [first, (yield promise)]

    assert world.result(parent) == ["done", "done"]
    asked, outcome = effects_of(world, world.start(parent))

    assert world.outcome_of(outcome) == ["done", "done"]
    assert step.runs == ["x.1", "x.2"]
    assert asked == []


def test_a_rejected_child_raises_without_being_run_again(world):
    step = Counted(error=ValueError("broken"))

    def parent(ctx):
        try:
            yield ctx.run(step).options(retry_policy=Never())
        except ValueError as error:
            return str(error)

    assert world.result(parent) == "broken"
    asked, outcome = effects_of(world, world.start(parent))

    assert world.outcome_of(outcome) == "broken"
    assert step.runs == ["x.1"]
    assert asked == []


def test_without_a_preload_a_settled_child_is_asked_for_and_not_run(world):
    step = Counted("done")

    def parent(ctx):
        return (yield ctx.run(step))

    world.result(parent)
    asked, outcome = effects_of(world, world.start(parent, is_preloaded=False))

    assert world.outcome_of(outcome) == "done"
    assert step.runs == ["x.1"]
    assert [type(effect) for effect in asked] == [CreateChild]


def test_a_pending_local_child_is_run_again_without_being_created_again(world):
    step = Counted("done")

    def parent(ctx):
        return (yield ctx.run(step))

    progress = world.start(parent).advance()  # the process dies after the creation
    world.carry_out_all(progress.effects)
    world.server.forget_journal()

    assert world.result(parent) == "done"
    assert world.server.ids == []
    assert world.server.settled == [("x.1", "resolved")]


def test_a_local_childs_own_body_is_replayed_in_the_same_way(world):
    first, second = Counted(1), Counted(2)

    def child(ctx):
        return (yield ctx.run(first)) + (yield ctx.rpc("bar")) + (yield ctx.run(second))

    def parent(ctx):
        return (yield ctx.run(child))

    assert world.awaited(parent) == ("x.1.2",)
    world.server.resolve("x.1.2", 10)

    assert world.result(parent) == 13
    assert first.runs == ["x.1.1"]
    assert second.runs == ["x.1.3"]


def test_a_replay_with_nothing_settled_is_a_fixed_point(world):
    step = Counted(1)

    def parent(ctx):
        a = yield ctx.begin_rpc("bar")
        b = yield ctx.begin_run(step)
        yield b
        yield ctx.sleep(60)
        return (yield a)

    first = world.awaited(parent)
    for _ in range(3):
        asked, outcome = effects_of(world, world.start(parent))
        assert isinstance(outcome, Suspended)
        assert outcome.awaited == first
        assert asked == []
    assert step.runs == ["x.2"]


def test_settling_what_is_awaited_only_extends_the_children(world):
    def parent(ctx):
        a = yield ctx.begin_rpc("bar")
        b = yield ctx.begin_rpc("baz")
        total = (yield b) + (yield a)
        return total + (yield ctx.rpc("qux"))

    seen = []
    while isinstance(outcome := world.run(parent, is_preloaded=False), Suspended):
        ids = world.server.ids
        assert ids[: len(seen)] == seen
        seen = ids
        world.server.forget_journal()
        (awaited,) = outcome.awaited
        world.server.resolve(awaited, 1)

    assert world.outcome_of(outcome) == 3
    assert world.server.ids == ["x.1", "x.2", "x.3"]


def test_a_record_without_a_target_is_run_here_whatever_the_code_says_now(world):
    step = Counted("done")
    world.register(step, name="step")

    def before(ctx):
        return (yield ctx.run("step"))

    def after(ctx):
        return (yield ctx.rpc("step"))

    world.carry_out_all(world.start(before).advance().effects)  # dies after the creation

    assert world.result(after) == "done"
    assert step.runs == ["x.1"]


def test_a_record_with_a_target_is_waited_for_whatever_the_code_says_now(world, caplog):
    step = Counted("done")
    world.register(step, name="step")

    def before(ctx):
        return (yield ctx.rpc("step"))

    def after(ctx):
        return (yield ctx.run("step"))

    world.awaited(before)

    assert world.awaited(after) == ("x.1",)
    assert step.runs == []
    assert "run step was begun as ctx.rpc and goes on as that" in caplog.text
    assert f"at={__file__}:{after.__code__.co_firstlineno + 1}" in caplog.text


def test_a_replay_by_the_same_code_warns_of_nothing(world, caplog):
    def parent(ctx):
        yield ctx.begin_rpc("step")
        yield ctx.begin_run(lambda ctx: (yield ctx.sleep(5)))
        yield (yield ctx.detached("step"))

    first, again = world.awaited(parent), world.awaited(parent)

    assert first == again
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == []


def test_code_that_does_something_else_goes_on_with_the_record_if_that_is_wanted(world, caplog):
    def before(ctx):
        return (yield ctx.rpc("step"))

    def after(ctx):
        return (yield ctx.rpc("other"))

    world.awaited(before)
    world.environment = replace(world.environment, on_nondeterminism="warn")

    assert world.awaited(after) == ("x.1",)
    assert "'x.1' is recorded as call:step, but the code at" in caplog.text


def test_code_that_does_less_than_is_recorded_is_warned_of(world, caplog):
    def before(ctx):
        yield ctx.run(lambda ctx: 1)
        yield ctx.run(lambda ctx: 2)

    def after(ctx):
        yield ctx.run(lambda ctx: 1)

    world.result(before)

    assert world.result(after) is None
    assert "this code performs fewer steps than recorded: keep the old version" in caplog.text


def test_records_only_move_forward(world):
    def parent(ctx):
        answer = yield ctx.promise(id="answer")
        yield answer
        yield ctx.sleep(60)
        return (yield answer)

    world.run(parent)
    pending = world.server.get("answer")
    world.server.resolve("answer", 1)
    execution = world.start(parent)
    events = world.carry_out_all(execution.advance().effects)
    execution.advance([*events, ChildChanged(pending)])

    assert execution.family.records()["answer"].state == "resolved"


def test_records_are_what_a_further_pass_needs(world):
    def parent(ctx):
        yield ctx.run(Counted(1))
        yield ctx.rpc("bar")

    execution = world.start(parent)
    world.drive(execution)

    assert {id: record.state for id, record in execution.family.records().items()} == {
        "x": "pending",
        "x.1": "resolved",
        "x.2": "pending",
    }


def test_records_are_the_latest_and_also_those_that_no_call_has_met(world):
    def before(ctx):
        yield ctx.begin_rpc("bar")
        yield ctx.run(Counted(1))
        yield ctx.sleep(60)

    def after(ctx):
        yield ctx.begin_rpc("bar")
        yield ctx.rpc("bar")

    world.run(before)
    execution = world.start(after)
    execution.advance()
    execution.advance([ChildChanged(world.server.resolve("x.1"))])

    states = {id: record.state for id, record in execution.family.records().items()}
    assert states == {"x": "pending", "x.1": "resolved", "x.2": "resolved", "x.3": "pending"}


@pytest.mark.parametrize(
    ("tags", "is_ours"),
    [
        ({tag.SCOPE: "local"}, True),
        ({tag.SCOPE: "local", tag.TARGET: "amqp://any@g"}, False),
        ({tag.SCOPE: "global"}, False),
        ({tag.SCOPE: "global", tag.TARGET: "amqp://any@g"}, False),
        ({}, False),
    ],
)
def test_only_what_is_local_and_goes_to_nobody_is_run_by_who_finds_it(tags, is_ours):
    assert settles_here(make_record("x.1", tags=tags)) == is_ours


def test_a_function_that_loses_its_process_between_effect_and_record_runs_again(world):
    step = Counted("done")

    def parent(ctx):
        return (yield ctx.run(step))

    execution = world.start(parent)
    progress = execution.advance(world.carry_out_all(execution.advance().effects))
    assert [type(effect) for effect in progress.effects] == [SettleChild]  # and dies before it

    assert world.result(parent) == "done"
    assert step.runs == ["x.1", "x.1"]


def test_a_settled_child_is_no_attempt(world):
    attempts = []

    def step(ctx):
        attempts.append(ctx.info.attempt)

    def parent(ctx):
        yield ctx.run(step)
        yield ctx.rpc("bar")

    world.run(parent)
    world.run(parent)

    assert attempts == [1]


@pytest.mark.parametrize("is_preloaded", [True, False])
def test_remote_results_come_in_whatever_order_they_settle(world, is_preloaded):
    def parent(ctx):
        a = yield ctx.begin_rpc("bar")
        b = yield ctx.begin_rpc("baz")
        return [(yield a), (yield b)]

    world.run(parent, is_preloaded=is_preloaded)
    world.server.resolve("x.2", "b")
    assert world.awaited(parent, is_preloaded=is_preloaded) == ("x.1",)
    world.server.resolve("x.1", "a")

    outcome = world.run(parent, is_preloaded=is_preloaded)
    assert isinstance(outcome, Done)
    assert world.outcome_of(outcome) == ["a", "b"]
