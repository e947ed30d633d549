"""`async def` bodies: what they await means what generators yield, and calls begin by themselves."""

import asyncio
import inspect
import logging
from asyncio import gather  # noqa: TID251  # users write it
from contextvars import ContextVar

import pytest

from resonate_sdk import CanceledError, Constant, Never, Promise, UsageError, current
from resonate_sdk.client.handle import refuse_blocking
from resonate_sdk.execution.effects import (
    Begun,
    CoroutineMoved,
    CreateChild,
    Done,
    Failed,
    RunCoroutine,
    StartTimer,
)
from resonate_sdk.options import Options


def plain(ctx, value=None):
    return value


async def leaf(ctx, value=None):
    return value


def yielding(ctx, value):
    return (yield ctx.run(plain, value))


def failing(ctx):
    raise ValueError("no")


def test_it_awaits_functions_of_every_kind(world):
    async def parent(ctx):
        first = await ctx.run(plain, 1)
        second = await ctx.run(leaf, 2)
        return [first, second, await ctx.run(yielding, 3)]

    assert world.result(parent) == [1, 2, 3]
    assert world.server.ids == ["x.1", "x.2", "x.3", "x.3.1"]


def test_a_generator_calls_coroutines(world):
    def parent(ctx):
        promise = yield ctx.begin_run(leaf, 1)
        return (yield ctx.run(leaf, 2)) + (yield promise)

    assert world.result(parent) == 3


def test_a_rejection_is_raised_where_it_is_awaited(world):
    async def parent(ctx):
        try:
            await ctx.run(failing).options(retry_policy=Never())
        except ValueError as error:
            return f"caught {error}"

    assert world.result(parent) == "caught no"


# Calls begin by themselves


def test_calls_begin_in_the_order_in_which_they_are_made_before_any_is_awaited(world):
    async def parent(ctx):
        a = ctx.rpc("a")
        b = ctx.begin_rpc("b")
        c = ctx.sleep(1)
        return [await c, await (await b), await a]

    execution = world.start(parent)
    world.staged(execution.advance().effects)
    progress = execution.advance(world.stage.turn())

    assert [effect.request.id for effect in progress.effects] == ["x.1", "x.2", "x.3"]


def test_a_call_that_is_never_awaited_is_carried_out_and_joined(world):
    async def parent(ctx):
        ctx.run(plain, 1)
        return "done"

    assert world.result(parent) == "done"
    assert world.server.state("x.1") == "resolved"


def test_a_detached_call_that_is_never_awaited_is_made_before_the_end(world):
    async def parent(ctx):
        ctx.detached("a").options(id="own")
        return "done"

    assert world.result(parent) == "done"
    assert world.server.state("own") == "pending"


def test_options_on_the_line_of_the_call_count(world):
    async def parent(ctx):
        call = ctx.rpc("a").options(id="other")
        await ctx.run(plain)
        return await call

    assert world.awaited(parent) == ("other",)


def test_a_call_of_a_task_is_told_with_the_options_of_its_line(world):
    class Told(list[CoroutineMoved]):
        def append(self, moved):
            ids.extend(move.op.given.id for move in moved.moves if isinstance(move, Begun))
            super().append(moved)

    ids = []
    world.stage.moved = Told()

    async def helper(ctx):
        return await ctx.run(plain, 5).options(id="other")

    async def parent(ctx):
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(helper(ctx))
        return task.result()

    assert world.result(parent) == 5
    assert ids == ["other"]


def test_options_of_a_call_that_has_begun_are_a_usage_error(world):
    async def parent(ctx):
        call = ctx.run(plain, 5)
        await ctx.run(plain)
        with pytest.raises(UsageError, match=r"has begun: write .options\(...\) on the line"):
            call.options(timeout=3)
        return await call

    assert world.result(parent) == 5


def test_a_call_that_cannot_be_stored_raises_where_it_is_awaited(world):
    async def parent(ctx):
        call = ctx.rpc("a", object())
        await ctx.run(plain)
        with pytest.raises(TypeError, match="cannot be stored"):
            await call
        return "told"

    assert world.result(parent) == "told"


def test_a_call_may_be_awaited_twice(world):
    async def parent(ctx):
        call = ctx.run(plain, 4)
        return [await call, await call]

    assert world.result(parent) == [4, 4]
    assert world.server.ids == ["x.1"]


@pytest.mark.parametrize("call", ["rpc", "detached"])
def test_a_call_that_cannot_be_stored_and_is_never_awaited_is_told_to_the_log(world, caplog, call):
    async def parent(ctx):
        getattr(ctx, call)("a", object())
        return "done"

    with caplog.at_level(logging.WARNING):
        assert world.result(parent) == "done"
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{call} a could not be begun, and nobody has awaited it promise_id=x ")
    assert f"at={__file__}:{parent.__code__.co_firstlineno + 1} " in said
    assert "a value of type object cannot be stored as JSON" in said


# Other things of asyncio


def test_calls_are_gathered(world):
    async def parent(ctx):
        return await gather(*(ctx.run(leaf, n) for n in range(5)), ctx.run(yielding, 5))

    assert world.result(parent) == [0, 1, 2, 3, 4, 5]
    assert world.server.ids[:6] == [f"x.{n}" for n in range(1, 7)]


def test_gathered_remote_calls_are_awaited_together(world):
    async def parent(ctx):
        return await gather(ctx.rpc("a"), ctx.rpc("b"))

    assert world.awaited(parent) == ("x.1", "x.2")
    world.server.resolve("x.1", 1)
    assert world.awaited(parent) == ("x.2",)
    world.server.resolve("x.2", 2)
    assert world.result(parent) == [1, 2]


def test_a_body_that_waits_for_its_loop_is_given_a_grace_before_it_suspends(world):
    async def parent(ctx):
        return await gather(ctx.rpc("a"))

    execution = world.start(parent)
    world.staged(execution.advance().effects)
    (create,) = execution.advance(world.stage.turn()).effects
    progress = execution.advance([world.carry_out(create), *world.stage.turn()])

    (timer,) = progress.effects
    assert isinstance(timer, StartTimer)
    assert timer.delay_s == 0.02
    assert progress.outcome is None
    assert execution.advance([world.carry_out(timer)]).outcome is not None
    execution.close()


def test_a_body_that_waits_for_its_loop_alone_is_left_alone(world):
    """It may be a request to somebody: how long that takes is not ours to say."""
    event = asyncio.Event()

    async def parent(ctx):
        await event.wait()
        return "done"

    execution = world.start(parent)
    world.staged(execution.advance().effects)
    progress = execution.advance(world.stage.turn())
    assert (progress.effects, progress.outcome) == ((), None)

    event.set()
    assert isinstance(execution.advance(world.stage.turn()).outcome, Done)


def test_whoever_stops_waiting_goes_on(world):
    async def parent(ctx):
        call = ctx.rpc("never")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await call
        return await ctx.run(plain, "later")

    execution = world.start(parent)
    assert world.drive(execution).awaited == ("x.1",)  # it is joined, the value is there


def test_tasks_of_a_body_may_wait_for_calls(world):
    async def helper(ctx, n):
        return await ctx.run(plain, n)

    async def parent(ctx):
        async with asyncio.TaskGroup() as group:
            a = group.create_task(helper(ctx, 1))
            b = group.create_task(helper(ctx, 2))
        return a.result() + b.result()

    assert world.result(parent) == 3


# Suspension


def test_a_suspension_is_no_exception_and_what_follows_it_has_no_effect(world):
    seen = []

    async def parent(ctx):
        try:
            await ctx.rpc("a")
        except Exception as error:
            seen.append(error)
            raise
        finally:
            try:
                await ctx.run(plain, "cleanup")
            except UsageError:
                seen.append("closed")

    assert world.awaited(parent) == ("x.1",)
    assert seen == ["closed"]
    assert world.server.ids == ["x.1"]


def test_result_of_a_pending_promise_ends_the_pass_and_is_there_later(world):
    async def parent(ctx):
        promise = await ctx.begin_rpc("a")
        return promise.result()

    assert world.awaited(parent) == ("x.1",)
    world.server.resolve("x.1", 7)
    assert world.result(parent) == 7


def test_a_promise_known_by_its_id_is_awaited(world):
    async def parent(ctx):
        return await Promise("answer")

    assert world.awaited(parent) == ("answer",)


# Failures


def test_a_coroutine_that_called_nothing_is_tried_again(world):
    attempts = []

    async def flaky(ctx):
        attempts.append(ctx.info.attempt)
        if len(attempts) < 3:
            raise OSError("not yet")
        return "done"

    assert world.result(flaky) == "done"
    assert attempts == [1, 2, 3]


def test_a_coroutine_that_called_something_is_not_tried_again(world):
    attempts = []

    async def flaky(ctx):
        attempts.append(await ctx.run(plain, 1))
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        world.result(flaky)
    assert attempts == [1]


def test_an_explicit_policy_repeats_a_coroutine_whatever_it_called(world):
    attempts = []

    async def flaky(ctx):
        attempts.append(await ctx.run(plain, 1))
        if len(attempts) < 3:
            raise OSError("not yet")
        return "done"

    given = Options(retry_policy=Constant(1, max_retries=5))
    assert world.result(flaky, given=given) == "done"
    assert world.server.ids == ["x.1"]


def test_another_attempt_may_store_what_the_last_one_could_not(world):
    values = [object(), 1]

    async def flaky(ctx):
        return await ctx.rpc("a", values.pop(0))

    given = Options(retry_policy=Constant(1, max_retries=1))
    assert world.awaited(flaky, given=given) == ("x.1",)


def test_a_coroutine_that_is_canceled_sees_it(world):
    seen = []

    async def slow(ctx):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(ctx.canceled)
            raise

    async def parent(ctx):
        promise = await ctx.begin_run(slow)
        await ctx.run(leaf)  # meanwhile the other one begins
        await promise.cancel()
        with pytest.raises(CanceledError):
            await promise
        return "canceled"

    assert world.result(parent) == "canceled"
    assert seen == [True]


def test_a_coroutine_that_is_canceled_with_its_loop_settles_nothing(world):
    async def parent(ctx):
        raise asyncio.CancelledError

    outcome = world.run(parent)

    assert isinstance(outcome, Failed)
    assert isinstance(outcome.cause, asyncio.CancelledError)


def test_a_coroutine_that_is_closed_cannot_wait_for_calls_any_more(world):
    seen = []

    async def parent(ctx):
        first, second = ctx.rpc("a"), ctx.rpc("b")
        for call in (first, second):
            try:
                await call
            except asyncio.CancelledError:
                seen.append(call.id)

    assert world.awaited(parent) == ("x.1",)
    assert seen == ["x.1", "x.2"]


# Mistakes


def test_returning_a_call_is_a_usage_error(world):
    async def parent(ctx):
        return ctx.run(plain)

    with pytest.raises(UsageError, match=r"write `return \(await ...\)`"):
        world.result(parent)


def test_blocking_calls_are_refused_in_the_words_of_coroutines(world):
    async def parent(ctx):
        refuse_blocking("other")

    with pytest.raises(UsageError, match=r"write `await ctx.run\(...\)`"):
        world.result(parent)


def test_awaiting_outside_of_a_durable_function_is_a_usage_error():
    async def outside():
        await Promise("x")

    with pytest.raises(UsageError, match="in a durable function only"):
        asyncio.run(outside())


def test_a_coroutine_that_was_never_run_is_dropped_in_silence(world):
    """The pass is given up before anybody has taken its coroutine: nothing is left behind."""
    execution = world.start(leaf)
    (run,) = execution.advance().effects
    assert isinstance(run, RunCoroutine)
    execution.close()


def test_a_forgotten_await_is_carried_out_so_nothing_is_warned_of(world, caplog):
    async def parent(ctx):
        ctx.run(plain)

    with caplog.at_level(logging.WARNING):
        world.result(parent)
    assert caplog.records == []


# Context


@pytest.mark.parametrize("style", ["plain", "yield", "await", "task"])
def test_current_is_the_context_of_the_function_that_runs(world, style):
    def plainly(ctx):
        return current().id

    def by_yield(ctx):
        yield ctx.run(plain)
        return current().id

    async def by_await(ctx):
        await ctx.run(plain)
        return current().id

    async def in_task(ctx):
        async def helper():
            return current().id

        return (await gather(helper()))[0]

    func = {"plain": plainly, "yield": by_yield, "await": by_await, "task": in_task}[style]

    def parent(ctx):
        return [(yield ctx.run(func)), current().id]

    assert world.result(parent) == ["x.1", "x"]


TENANT: ContextVar[str] = ContextVar("TENANT", default="nobody")


@pytest.mark.parametrize("call", ["run", "begin_run"])
def test_what_a_body_sets_for_its_context_its_local_children_find(world, call):
    def plainly(ctx):
        return TENANT.get()

    async def by_await(ctx):
        return TENANT.get()

    def parent(ctx):
        TENANT.set("Ada")
        found = []
        for func in (plainly, by_await):
            answer = yield getattr(ctx, call)(func)
            found.append(answer if call == "run" else (yield answer))
        return found

    assert world.result(parent) == ["Ada", "Ada"]
    assert TENANT.get() == "nobody"


def test_there_is_no_current_context_elsewhere():
    with pytest.raises(UsageError, match="no durable function"):
        current()


def test_a_child_is_created_before_its_coroutine_runs(world):
    ran = []

    async def child(ctx):
        ran.append(ctx.id)

    async def parent(ctx):
        await ctx.run(child)

    execution = world.start(parent)
    world.staged(execution.advance().effects)
    progress = execution.advance(world.stage.turn())

    assert [type(effect) for effect in progress.effects] == [CreateChild]
    assert ran == []
    execution.close()


@pytest.mark.parametrize("is_dropped", [True, False])
def test_what_was_not_run_when_the_process_ends_is_dropped_without_a_complaint(world, is_dropped):
    async def parent(ctx):
        await ctx.sleep(1)

    execution = world.start(parent)
    (effect,) = execution.advance().effects
    execution.drop_coroutines() if is_dropped else execution.close()

    assert inspect.getcoroutinestate(effect.body.awaitable) == inspect.CORO_CLOSED
