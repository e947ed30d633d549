"""Code that does something else than is recorded is found out, and cannot go on."""

import pytest

from resonate_sdk import NondeterminismError, UsageError
from resonate_sdk.execution.effects import Failed, Suspended
from resonate_sdk.options import make_options
from resonate_sdk.protocol import tags as tag
from resonate_sdk.retry import Constant


def step(ctx):
    return 1


def other(ctx):
    return 2


@pytest.mark.parametrize(
    ("call", "recorded"),
    [
        (lambda ctx: ctx.run(step), "call:step"),
        (lambda ctx: ctx.begin_run(step), "call:step"),
        (lambda ctx: ctx.rpc("remote"), "call:remote"),
        (lambda ctx: ctx.detached("remote"), "call:remote"),
        (lambda ctx: ctx.sleep(5), "timer"),
        (lambda ctx: ctx.promise(), "latent"),
        (lambda ctx: ctx.random.random(), "call:random.random"),
    ],
    ids=["run", "begin_run", "rpc", "detached", "sleep", "promise", "random"],
)
def test_each_promise_says_what_has_made_it(world, call, recorded):
    def parent(ctx):
        yield call(ctx)

    world.run(parent)

    assert [r.tags[tag.FINGERPRINT] for r in world.server.created] == [recorded]


def before(ctx):
    yield ctx.run(step)
    yield ctx.rpc("bar")


def calls_another(ctx):
    yield ctx.run(other)


def sleeps_instead(ctx):
    yield ctx.sleep(5)


def begins_another(ctx):
    yield ctx.begin_run(other)
    yield ctx.rpc("bar")


def catches(ctx):
    try:
        yield ctx.run(other)
    except BaseException:  # noqa: BLE001  # users do
        yield ctx.run(step).options(id="rescued")
    finally:
        ctx.get_dependency("cleanup")


async def awaits(ctx):
    try:
        await ctx.run(other)
    except Exception:  # noqa: BLE001  # users do
        return "rescued"


@pytest.mark.parametrize("after", [calls_another, sleeps_instead, begins_another, catches, awaits])
@pytest.mark.parametrize("is_preloaded", [True, False])
@pytest.mark.parametrize("is_retried", [True, False])
def test_no_body_can_catch_it_and_no_policy_repeats_it(world, after, is_preloaded, is_retried):
    world.awaited(before)
    world.server.forget_journal()
    given = make_options(retry_policy=Constant(1) if is_retried else None)

    outcome = world.run(after, is_preloaded=is_preloaded, given=given)

    assert isinstance(outcome, Failed)
    error = outcome.cause
    assert isinstance(error, NondeterminismError)
    assert (error.id, error.expected) == ("x.1", "call:step")
    assert error.found == ("timer" if after is sleeps_instead else "call:other")
    assert error.where.startswith(f"{__file__}:")
    assert world.server.settled == []
    assert world.delays == []


def test_an_id_that_the_program_has_chosen_is_compared_by_function_only(world):
    """Who made the promise first may have made it in another way."""

    def settles_elsewhere(ctx):
        yield ctx.promise(id="shared")

    def calls(ctx):
        yield ctx.rpc("bar").options(id="shared")

    def calls_another(ctx):
        yield ctx.rpc("baz").options(id="its own")

    def calls_one(ctx):
        yield ctx.rpc("bar").options(id="its own")

    world.run(settles_elsewhere, id="x")
    assert isinstance(world.run(calls, id="y"), Suspended)

    world.run(calls_one, id="x")
    with pytest.raises(UsageError, match="the id 'its own' belongs to a call of bar, not of baz"):
        world.result(calls_another, id="y")
