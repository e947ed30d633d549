"""Where a pass ends that cannot go on, and what its bodies notice of that: nothing."""

import asyncio
from contextlib import contextmanager, suppress

import pytest

from resonate_sdk import Never, UsageError
from resonate_sdk.execution.effects import CallFunction, Done, Suspended
from resonate_sdk.execution.outbox import CREATIONS_MAX
from resonate_sdk.functions.ops import Detach
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.envelope import encode_request
from resonate_sdk.protocol.requests import CallbackAction, PromiseRegisterCallback, TaskSuspend


def leaf(ctx, value=None):
    return value


# The frontier: what parked bodies wait for, and nothing else (C25)


@pytest.mark.parametrize(
    "call",
    [
        lambda ctx: ctx.rpc("bar"),
        lambda ctx: ctx.sleep(5),
        lambda ctx: ctx.options(target="elsewhere").rpc("bar"),
    ],
)
def test_a_pending_call_is_waited_for(world, call):
    def parent(ctx):
        yield call(ctx)

    assert world.awaited(parent) == ("x.1",)


def test_what_was_begun_and_is_not_awaited_yet_is_left_out(world):
    def parent(ctx):
        a = yield ctx.begin_rpc("bar")
        b = yield ctx.begin_rpc("baz")
        yield ctx.begin_rpc("qux")
        return [(yield b), (yield a)]

    assert world.awaited(parent) == ("x.2",)


def test_the_join_at_the_end_names_the_last_pending_one(world):
    def parent(ctx):
        for _ in range(4):
            yield ctx.begin_rpc("bar")

    assert world.awaited(parent) == ("x.4",)
    world.server.resolve("x.4")
    world.server.resolve("x.2")
    assert world.awaited(parent) == ("x.3",)
    world.server.resolve("x.3")
    assert world.awaited(parent) == ("x.1",)
    world.server.resolve("x.1")
    assert isinstance(world.run(parent), Done)


def test_each_parked_body_names_what_it_waits_for(world):
    def child(ctx, name):
        yield ctx.begin_rpc("never awaited yet")
        yield ctx.rpc(name)

    def parent(ctx):
        a = yield ctx.begin_run(child, "bar")
        yield ctx.begin_run(child, "baz")
        yield ctx.begin_rpc("never awaited yet")
        yield a

    assert world.awaited(parent) == ("x.1.2", "x.2.2")


def test_what_two_bodies_wait_for_is_named_once(world):
    def child(ctx, promise):
        yield promise

    def parent(ctx):
        answer = yield ctx.promise()
        yield ctx.begin_run(child, answer)
        yield ctx.begin_run(child, answer)
        yield answer

    assert world.awaited(parent) == ("x.1",)


def test_a_body_parked_deep_down_suspends_the_whole_pass(world):
    def third(ctx):
        return (yield ctx.rpc("bar"))

    def second(ctx):
        return (yield ctx.run(third))

    def first(ctx):
        return (yield ctx.run(second))

    assert world.awaited(first) == ("x.1.1.1",)


def test_a_child_that_is_waited_for_at_the_end_names_what_it_waits_for_itself(world):
    def child(ctx):
        yield ctx.begin_rpc("bar")
        yield ctx.begin_rpc("baz")

    def parent(ctx):
        yield ctx.begin_run(child)

    assert world.awaited(parent) == ("x.1.2",)


def test_a_detached_execution_is_not_waited_for_unless_it_is_awaited(world):
    def parent(ctx):
        yield ctx.detached("bar")
        yield ctx.sleep(5)

    assert world.awaited(parent) == ("x.2",)


def test_the_frontier_is_within_what_one_request_may_name(world, monkeypatch, caplog):
    monkeypatch.setattr(limits, "AWAITED_PER_SUSPEND_MAX", 100)

    def child(ctx):
        yield ctx.rpc("bar")

    def parent(ctx):
        for _ in range(limits.AWAITED_PER_SUSPEND_MAX + 1):
            yield ctx.begin_run(child)

    assert len(world.awaited(parent)) == limits.AWAITED_PER_SUSPEND_MAX
    assert "waits for more promises at a time than can wake it" in caplog.text
    assert "awaited=101 waking=100" in caplog.text


def test_the_frontier_is_within_what_one_message_may_hold(world):
    count = limits.MESSAGE_BYTES_MAX // limits.ID_BYTES_MAX + 1

    def parent(ctx):
        promises = []
        for n in range(count):
            promises.append((yield ctx.promise(id=f"{n}".zfill(limits.ID_BYTES_MAX))))
        yield ctx.race(promises)

    awaited = world.awaited(parent)

    actions = tuple(
        CallbackAction(data=PromiseRegisterCallback(awaited=id, awaiter="x")) for id in awaited
    )
    request = TaskSuspend(id="x", version=1, actions=actions)
    assert len(awaited) > 1_000
    assert len(encode_request(request, "1")) < limits.MESSAGE_BYTES_MAX


# Only when nothing can go on


def test_a_pass_is_not_suspended_while_a_function_runs(world):
    def parent(ctx):
        yield ctx.begin_run(leaf)
        yield ctx.rpc("bar")

    execution = world.start(parent)
    progress = execution.advance()
    calls = []
    while not calls or len(progress.effects):
        calls += [effect for effect in progress.effects if isinstance(effect, CallFunction)]
        others = [effect for effect in progress.effects if not isinstance(effect, CallFunction)]
        progress = execution.advance(world.carry_out_all(others))
        assert progress.outcome is None

    assert world.drive(execution, world.carry_out_all(calls)) == Suspended(("x.2",))
    assert world.server.settled == [("x.1", "resolved")]


def test_a_sibling_that_can_go_on_does_so_before_the_pass_is_suspended(world):
    def child(ctx):
        first = yield ctx.run(leaf, 1)
        return [first, (yield ctx.run(leaf, 2))]

    def parent(ctx):
        busy = yield ctx.begin_run(child)
        yield ctx.rpc("bar")
        return (yield busy)

    assert world.awaited(parent) == ("x.2",)
    assert world.server.value("x.1") == [1, 2]


def test_what_can_go_on_behind_a_settled_promise_does_so_before_the_next_suspension(world):
    def child(ctx, name):
        first = yield ctx.rpc(name)
        return first + (yield ctx.rpc(name))

    def parent(ctx):
        a = yield ctx.begin_run(child, "bar")
        b = yield ctx.begin_run(child, "baz")
        return (yield a) + (yield b)

    assert world.awaited(parent) == ("x.1.1", "x.2.1")
    world.server.resolve("x.2.1", 1)
    assert world.awaited(parent) == ("x.1.1", "x.2.2")
    world.server.resolve("x.1.1", 10)
    assert world.awaited(parent) == ("x.1.2", "x.2.2")


# Suspension is invisible


def test_no_except_clause_sees_a_suspension_before_it_is_decided(world):
    seen = []

    def parent(ctx):
        try:
            return (yield ctx.rpc("bar"))
        except Exception as error:
            seen.append(error)
            raise

    assert world.awaited(parent) == ("x.1",)
    world.server.resolve("x.1", 3)

    assert world.result(parent) == 3
    assert seen == []


def test_a_swallowed_close_does_not_change_the_outcome(world):
    def parent(ctx):
        try:
            return (yield ctx.rpc("bar"))
        except:  # noqa: E722  # that is the point
            return "swallowed"

    assert world.awaited(parent) == ("x.1",)
    assert world.server.state("x") == "pending"
    world.server.resolve("x.1", 3)
    assert world.result(parent) == 3


def test_a_body_that_ignores_the_close_is_dropped(world):
    def parent(ctx):
        while True:
            try:
                return (yield ctx.rpc("bar"))
            except GeneratorExit:
                yield ctx.sleep(1)

    assert world.awaited(parent) == ("x.1",)
    assert world.server.ids == ["x.1"]


def test_a_finally_block_runs_at_each_suspension_without_durable_effect(world):
    cleanups = []

    def undo(ctx):
        cleanups.append("durable")

    def parent(ctx):
        try:
            yield ctx.rpc("bar")
            yield ctx.rpc("baz")
        finally:
            cleanups.append("plain")
            yield ctx.run(undo).options(retry_policy=Never())

    assert world.awaited(parent) == ("x.1",)
    assert world.server.ids == ["x.1"]
    world.server.resolve("x.1")
    assert world.awaited(parent) == ("x.2",)
    assert cleanups == ["plain", "plain"]
    world.server.resolve("x.2")
    world.result(parent)

    assert cleanups == ["plain", "plain", "plain", "durable"]
    assert world.server.ids == ["x.1", "x.2", "x.3"]


def test_a_context_is_closed_before_its_body_is(world):
    errors = []

    def parent(ctx):
        try:
            yield ctx.rpc("bar")
        finally:
            try:
                ctx.run(leaf)
            except UsageError as error:
                errors.append(str(error))

    world.awaited(parent)

    assert errors == ["the execution 'x' has ended: its context is closed"]
    assert world.server.ids == ["x.1"]


def test_context_managers_of_all_parked_bodies_are_left(world):
    left = []

    @contextmanager
    def resource(name):
        try:
            yield
        finally:
            left.append(name)

    def child(ctx):
        with resource("child"):
            yield ctx.rpc("bar")

    def parent(ctx):
        with resource("parent"):
            yield ctx.run(child)

    world.awaited(parent)

    assert sorted(left) == ["child", "parent"]


def test_a_context_manager_does_not_turn_a_suspension_into_a_value(world):
    class Suppressing:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return True

    def parent(ctx):
        with Suppressing():
            return (yield ctx.rpc("bar"))
        return "suppressed"

    assert world.awaited(parent) == ("x.1",)
    world.server.resolve("x.1", 3)
    assert world.result(parent) == 3


def test_closing_twice_is_harmless(world):
    closes = []

    def parent(ctx):
        try:
            yield ctx.rpc("bar")
        finally:
            closes.append(1)

    execution = world.start(parent)
    world.drive(execution)
    execution.close()

    assert closes == [1]


def test_a_pass_may_be_given_up_while_it_waits_for_answers(world):
    closes = []

    def parent(ctx):
        try:
            yield ctx.run(leaf)
        finally:
            closes.append(1)

    execution = world.start(parent)
    execution.advance()
    execution.close()

    assert closes == [1]


def test_result_of_a_pending_promise_ends_the_pass_and_gives_the_value_later(world):
    def parent(ctx):
        promise = yield ctx.begin_rpc("bar")
        yield ctx.run(leaf)
        return [promise.result(), promise.done()]

    assert world.awaited(parent) == ("x.1",)
    world.server.resolve("x.1", 3)
    assert world.result(parent) == [3, True]


def test_result_of_a_promise_that_is_run_here_begins_the_same_attempt_again(world):
    attempts = []

    def parent(ctx):
        attempts.append(ctx.info.attempt)
        promise = yield ctx.begin_run(leaf, 5)
        return promise.result()

    assert world.result(parent) == 5
    assert attempts == [1, 1]


def swallows_and_returns(ctx):
    promise = yield ctx.begin_rpc("bar")
    try:
        return promise.result()
    except:  # noqa: E722  # users do
        return "swallowed"


def swallows_and_raises(ctx):
    promise = yield ctx.begin_rpc("bar")
    try:
        return promise.result()
    except BaseException as error:
        raise ValueError("swallowed") from error


def swallows_and_goes_on(ctx):
    promise = yield ctx.begin_rpc("bar")
    try:
        return promise.result()
    except BaseException:  # noqa: BLE001
        return (yield promise)


async def swallows_and_awaits(ctx):
    promise = await ctx.begin_rpc("bar")
    try:
        return promise.result()
    except BaseException:  # noqa: BLE001
        await asyncio.get_running_loop().run_in_executor(None, int)
        return await promise + 1


def swallows_and_calls(ctx):
    promise = yield ctx.begin_rpc("bar")
    try:
        return promise.result()
    finally:
        with suppress(UsageError):
            yield ctx.run(leaf, "cleanup")


@pytest.mark.parametrize(
    "parent",
    [
        swallows_and_returns,
        swallows_and_raises,
        swallows_and_goes_on,
        swallows_and_awaits,
        swallows_and_calls,
    ],
)
def test_who_catches_the_end_of_the_pass_ends_all_the_same(world, parent):
    assert world.awaited(parent) == ("x.1",)
    assert world.server.ids == ["x.1"]

    world.server.resolve("x.1", 3)

    assert world.result(parent) == 3


def test_who_catches_the_end_of_the_pass_settles_nothing_that_waits_for_no_child(world):
    def parent(ctx):
        promise = yield ctx.promise(id="somebody-elses")
        try:
            return promise.result()
        except:  # noqa: E722  # users do
            return "swallowed"

    assert world.awaited(parent) == ("somebody-elses",)
    world.server.resolve("somebody-elses", 3)
    assert world.result(parent) == 3


def test_a_coroutine_that_catches_the_end_of_the_pass_begins_nothing_more(world):
    async def parent(ctx):
        promise = await ctx.begin_rpc("bar")
        try:
            return promise.result()
        except:  # noqa: E722  # users do
            ctx.rpc("bar")
            await asyncio.Event().wait()

    assert world.awaited(parent) == ("x.1",)
    assert world.server.ids == ["x.1"]


def begun_at_once(execution):
    effects = []
    execution.outbox.at_once = effects.append
    return effects


def test_the_promises_of_a_loop_are_made_while_it_goes_on(world):
    def parent(ctx):
        promises = []
        for number in range(5):
            promises.append((yield ctx.begin_rpc("bar", number)))
        yield promises[0]

    execution = world.start(parent)
    begun = begun_at_once(execution)
    progress = execution.advance()

    assert [effect.request.id for effect in begun] == ["x.1", "x.2", "x.3", "x.4", "x.5"]
    assert (progress.effects, progress.outcome) == ((), None)
    outcome = world.drive(execution, world.carry_out_all(begun))
    assert outcome == Suspended(("x.1",), is_more_begun=True)


def test_an_endless_loop_of_calls_does_not_run_ahead_without_end(world):
    def parent(ctx):
        while True:
            yield ctx.begin_rpc("bar")

    execution = world.start(parent)
    begun = begun_at_once(execution)
    progress = execution.advance()

    assert len(begun) == CREATIONS_MAX
    assert len(progress.effects) == 1


def test_a_function_that_runs_here_is_begun_before_its_caller_goes_on(world):
    def parent(ctx):
        yield ctx.begin_run(leaf)
        raise AssertionError("not yet")

    execution = world.start(parent)
    begun = begun_at_once(execution)

    assert len(execution.advance().effects) == 1
    assert begun == []


@pytest.mark.parametrize("kind", ["promise", "detached"])
def test_what_others_are_told_of_exists_before_its_maker_goes_on(world, kind):
    def parent(ctx):
        yield ctx.promise(id="answer") if kind == "promise" else ctx.detached("bar")
        raise AssertionError("not yet")

    execution = world.start(parent)
    begun = begun_at_once(execution)

    assert len(execution.advance().effects) == 1
    assert begun == []


def test_what_is_being_made_is_canceled_when_it_exists(world):
    def parent(ctx):
        promise = yield ctx.begin_rpc("bar")
        yield promise.cancel()
        return "done"

    execution = world.start(parent)
    begun = begun_at_once(execution)

    assert execution.advance().effects == ()
    assert world.outcome_of(world.drive(execution, world.carry_out_all(begun))) == "done"
    assert world.server.settled == [("x.1", "rejected_canceled")]


def test_a_promise_that_nobody_joins_exists_before_its_function_ends(world):
    def parent(ctx):
        promise = yield ctx.begin_rpc("bar")
        yield Detach((promise,))
        return "done"

    execution = world.start(parent)
    begun = begun_at_once(execution)
    progress = execution.advance()

    assert progress.outcome is None
    assert isinstance(world.drive(execution, world.carry_out_all(begun)), Done)
