"""What hooks are told of a pass."""

import pytest

from resonate_sdk import Constant, UsageError
from resonate_sdk.hooks import OCCASIONS


@pytest.fixture
def told(world):
    """Everything that has happened, as it is told."""
    happenings = []
    for occasion in OCCASIONS:
        world.environment.hooks.add(occasion, happenings.append)
    return happenings


def brief(told):
    return [(h.occasion, h.id, h.state) if h.state else (h.occasion, h.id) for h in told]


def add(ctx, a, b):
    return a + b


def test_a_pass_begins_makes_and_settles_promises_and_ends(world, told):
    def parent(ctx):
        yield ctx.run(add, 1, 2)
        yield ctx.rpc("bar")

    world.run(parent)

    assert brief(told) == [
        ("pass_start", "x"),
        ("child_create", "x.1"),
        ("child_settle", "x.1", "resolved"),
        ("child_create", "x.2"),
        ("suspend", "x"),
        ("pass_end", "x", "suspended"),
    ]
    assert [(h.func, h.parent_id) for h in told[:4]] == [
        ("parent", ""),
        ("add", "x"),
        ("add", "x"),
        ("bar", "x"),
    ]
    assert {h.origin_id for h in told} == {"x"}
    assert told[4].awaited == ("x.2",)


def test_a_replay_tells_what_is_new_only(world, told):
    def parent(ctx):
        yield ctx.run(add, 1, 2)
        return (yield ctx.rpc("bar"))

    world.run(parent)
    told.clear()
    world.server.resolve("x.2", 5)
    world.run(parent)

    assert brief(told) == [("pass_start", "x"), ("pass_end", "x", "done")]


def test_a_retry_is_told_with_its_reason_and_its_delay(world, told):
    attempts = []

    def flaky(ctx):
        attempts.append(ctx.info.attempt)
        if len(attempts) < 3:
            raise LookupError(f"attempt {len(attempts)}")
        return "fine"

    def parent(ctx):
        return (yield ctx.run(flaky).options(retry_policy=Constant(2)))

    assert world.result(parent) == "fine"
    retries = [h for h in told if h.occasion == "retry"]
    assert [(h.id, h.func, h.attempt, h.delay_s, str(h.error)) for h in retries] == [
        ("x.1", "flaky", 1, 2, "attempt 1"),
        ("x.1", "flaky", 2, 2, "attempt 2"),
    ]


def test_canceled_promises_are_told(world, told):
    def parent(ctx):
        return (yield ctx.race([ctx.run(add, 1, 2), ctx.rpc("slow")])).value

    world.run(parent)

    assert ("child_settle", "x.2", "rejected_canceled") in brief(told)


def test_a_pass_that_is_given_up_ends_once(world, told):
    def parent(ctx):
        yield ctx.rpc("bar")

    execution = world.start(parent)
    execution.advance()
    execution.close()
    execution.close()

    assert brief(told) == [
        ("pass_start", "x"),
        ("child_create", "x.1"),
        ("pass_end", "x", "given up"),
    ]


def test_a_hook_that_fails_changes_nothing(world, told, caplog):
    def broken(happening):
        raise RuntimeError("broken hook")

    def parent(ctx):
        return (yield ctx.run(add, 1, 2))

    world.environment.hooks.add("child_create", broken)

    assert world.result(parent) == 3
    assert "hook failed occasion=child_create promise_id=x.1" in caplog.text


def test_an_occasion_that_never_comes_is_refused(world):
    with pytest.raises(UsageError, match="'child_made' never happens, these do: pass_start, pass"):
        world.environment.hooks.add("child_made", print)
