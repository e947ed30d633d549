"""A suspended pass that is woken goes on where it stood, and does what a new one would do."""

import asyncio

import pytest

from resonate_sdk import TimedOutError
from resonate_sdk.execution.effects import (
    ChildChanged,
    CreateChild,
    StartTimer,
    Suspended,
    Woken,
)
from resonate_sdk.hooks import OCCASIONS
from tests.unit.sdk.execution.scripted import World

TURNS_MAX = 1_000


def leaf(ctx, value=None):
    return value


async def waiting(op):
    return await op


class Sleeper:
    """One pass that is driven to where it is suspended, again and again."""

    def __init__(self, world: World, func, *args):
        self.world = world
        self.execution = world.start(func, *args)
        self.progress = self.execution.advance()
        self.outcome = self._drive()

    def wake(self, *ids):
        """Let it go on, knowing what has become of some promises."""
        news = tuple(self.world.server.get(id) for id in ids)
        assert self.execution.may_wake_with(news)
        self.progress = self.execution.advance([Woken(news)])
        return self._drive()

    def _drive(self):
        turns = 0
        while self.progress.outcome is None:
            turns += 1
            assert turns < TURNS_MAX, "it waits for ever"
            events = self._answer(self.world.staged(self.progress.effects))
            self.progress = self.execution.advance([*self.world.stage.turn(), *events])
        self.outcome = self.progress.outcome
        return self.outcome

    def _answer(self, effects):
        return self.world.carry_out_all(effects)

    def result(self):
        return self.world.outcome_of(self.outcome)


def test_a_body_goes_on_after_what_it_has_waited_for(world):
    lines = []

    def parent(ctx):
        lines.append("first")
        a = yield ctx.rpc("bar")
        lines.append("second")
        b = yield ctx.run(leaf, a + 1)
        lines.append("third")
        return b + (yield ctx.rpc("baz"))

    sleeper = Sleeper(world, parent)
    world.server.resolve("x.1", 1)
    assert sleeper.wake("x.1") == Suspended(("x.3",))
    world.server.resolve("x.3", 10)
    sleeper.wake("x.3")

    assert sleeper.result() == 12
    assert lines == ["first", "second", "third"]
    assert world.server.ids == ["x.1", "x.2", "x.3"]


def test_a_coroutine_goes_on_after_what_it_has_waited_for(world):
    lines = []

    async def child(ctx):
        return await ctx.rpc("baz")

    async def parent(ctx):
        lines.append("first")
        begun = ctx.run(child)
        a = await ctx.rpc("bar")
        lines.append("second")
        return a + await begun

    sleeper = Sleeper(world, parent)
    assert sleeper.outcome == Suspended(("x.2", "x.1.1"))
    world.server.resolve("x.1.1", 1)
    assert sleeper.wake("x.1.1") == Suspended(("x.2",))
    world.server.resolve("x.2", 10)
    sleeper.wake("x.2")

    assert sleeper.result() == 11
    assert lines == ["first", "second"]


def test_news_that_change_nothing_suspend_it_again(world):
    def parent(ctx):
        yield ctx.rpc("bar")

    sleeper = Sleeper(world, parent)

    assert sleeper.wake() == Suspended(("x.1",))
    assert sleeper.wake("x.1") == Suspended(("x.1",))
    assert len(world.server.ids) == 1


def test_what_has_settled_of_the_promises_that_were_begun_is_there_at_once(world):
    def parent(ctx):
        begun = []
        for _ in range(3):
            begun.append((yield ctx.begin_rpc("bar")))
        total = 0
        for promise in begun:
            total += yield promise
        return total

    sleeper = Sleeper(world, parent)
    for number in (1, 2, 3):
        world.server.resolve(f"x.{number}", number)
    sleeper.wake("x.3", "x.1", "x.2")

    assert sleeper.result() == 6


def test_a_promise_that_is_only_named_settles_as_well(world):
    def child(ctx, promise):
        return (yield promise)

    def parent(ctx):
        answer = yield ctx.promise(id="answer")
        return (yield ctx.run(child, answer))

    sleeper = Sleeper(world, parent)
    world.server.resolve("answer", 7)
    sleeper.wake("answer")

    assert sleeper.result() == 7


def test_a_body_that_asked_for_a_result_too_early_begins_anew_and_finds_it(world):
    runs = []

    def parent(ctx):
        runs.append(1)
        promise = yield ctx.begin_rpc("bar")
        return promise.result()

    sleeper = Sleeper(world, parent)
    world.server.resolve("x.1", 5)
    sleeper.wake("x.1")

    assert sleeper.result() == 5
    assert len(runs) == 2


def test_the_first_of_several_is_recorded_when_it_comes(world):
    def parent(ctx):
        won = yield ctx.race([ctx.rpc("bar"), ctx.rpc("baz")], losers="detach")
        return won.index

    sleeper = Sleeper(world, parent)
    world.server.resolve("x.2", 1)
    sleeper.wake("x.2")

    assert sleeper.result() == 1
    assert world.server.state("x.3") == "resolved"


def test_a_failure_is_raised_where_the_body_stands(world):
    closed = []

    def parent(ctx):
        try:
            yield ctx.rpc("bar")
        except ValueError as error:
            return str(error)
        finally:
            closed.append(1)

    sleeper = Sleeper(world, parent)
    assert closed == []
    world.server.reject("x.1", ValueError("no"))
    sleeper.wake("x.1")

    assert sleeper.result() == "no"
    assert closed == [1]


def test_a_function_whose_promise_somebody_else_has_settled_does_not_go_on(world):
    """In a replay it would not be run: its promise has timed out while all slept."""
    lines = []

    def child(ctx):
        yield ctx.rpc("bar")
        lines.append("went on")

    def parent(ctx):
        try:
            yield ctx.run(child).options(timeout=5)
        except TimedOutError:
            return "too late"

    sleeper = Sleeper(world, parent)
    world.clock.advance(10)
    timed_out = world.server.get("x.1")
    assert timed_out.state == "rejected_timedout"

    assert not sleeper.execution.may_wake_with([timed_out])
    sleeper.execution.close()
    assert world.result(parent) == "too late"
    assert lines == []


def test_a_body_that_waits_for_something_of_its_loop_does_not_sleep(world):
    async def parent(ctx):
        async with asyncio.TaskGroup() as group:
            group.create_task(waiting(ctx.rpc("bar")))
            group.create_task(waiting(ctx.rpc("baz")))

    sleeper = Sleeper(world, parent)

    assert sleeper.outcome == Suspended(("x.1", "x.2"))
    assert not sleeper.execution.may_sleep
    sleeper.execution.close()


def test_what_is_closed_while_it_sleeps_has_no_effect_any_more(world):
    seen = []

    def parent(ctx):
        try:
            yield ctx.rpc("bar")
        finally:
            seen.append("closed")
            yield ctx.run(leaf)
            seen.append("never")

    sleeper = Sleeper(world, parent)
    world.server.forget_journal()
    sleeper.execution.close()

    assert seen == ["closed"]
    assert world.server.ids == []


def test_the_calls_after_it_woke_are_no_replay(world):
    replaying = []

    def parent(ctx):
        replaying.append(ctx.info.replaying)
        yield ctx.rpc("bar")
        replaying.append(ctx.info.replaying)
        yield ctx.run(leaf)

    sleeper = Sleeper(world, parent)
    world.server.resolve("x.1")
    sleeper.wake("x.1")

    assert replaying == [False, False]


def test_hooks_are_told_of_each_time_it_goes_on(world):
    told = []
    for occasion in OCCASIONS:
        world.environment.hooks.add(occasion, lambda happening: told.append(happening))

    def parent(ctx):
        yield ctx.rpc("bar")

    sleeper = Sleeper(world, parent)
    world.server.resolve("x.1")
    sleeper.wake("x.1")

    assert [(h.occasion, h.state) for h in told] == [
        ("pass_start", ""),
        ("child_create", ""),
        ("suspend", ""),
        ("pass_end", "suspended"),
        ("pass_start", ""),
        ("pass_end", "done"),
    ]


def test_a_grace_that_was_not_over_when_it_slept_does_not_keep_it_from_the_next_one(world):
    of_loop = []

    async def child(ctx):
        of_loop.append(world.stage.loop.create_future())
        await of_loop[0]  # a grace begins
        await ctx.rpc("bar")
        async with asyncio.TaskGroup() as group:
            group.create_task(waiting(ctx.rpc("baz")))

    async def parent(ctx):
        begun = ctx.run(child)
        await ctx.rpc("qux")
        await begun

    class Patient(Sleeper):
        """No grace is over before the pass is."""

        graces = 0

        def _answer(self, effects):
            graces = [effect for effect in effects if isinstance(effect, StartTimer)]
            self.graces += len(graces)
            if graces and not of_loop[0].done():
                of_loop[0].set_result(None)
                return []
            return super()._answer(effects)

    sleeper = Patient(world, parent)
    assert sleeper.outcome == Suspended(("x.2", "x.1.1"))
    assert sleeper.graces == 1
    world.server.resolve("x.1.1")

    assert sleeper.wake("x.1.1") == Suspended(("x.2", "x.1.2"))
    assert sleeper.graces == 2
    sleeper.execution.close()


@pytest.mark.parametrize("count", [1, 200])
def test_what_follows_is_created_once(world, count):
    def parent(ctx):
        for _ in range(count):
            yield ctx.rpc("bar")

    sleeper = Sleeper(world, parent)
    for number in range(1, count + 1):
        world.server.resolve(f"x.{number}")
        sleeper.wake(f"x.{number}")

    assert sleeper.result() is None
    assert len(world.server.ids) == count


def test_creations_and_answers_are_counted_on(world):
    """After it woke it waits for what it asks for, as before."""

    def parent(ctx):
        yield ctx.rpc("bar")
        yield ctx.rpc("baz")

    sleeper = Sleeper(world, parent)
    world.server.resolve("x.1")
    news = (world.server.get("x.1"),)
    progress = sleeper.execution.advance([Woken(news)])

    (effect,) = progress.effects
    assert isinstance(effect, CreateChild)
    assert progress.outcome is None
    progress = sleeper.execution.advance([ChildChanged(world.server.create(effect.request))])
    assert progress.outcome == Suspended(("x.2",))
    sleeper.execution.close()
