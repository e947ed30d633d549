"""Structured concurrency: a function settles after everything that it has started."""

import logging
from contextlib import suppress

import pytest

from resonate_sdk import Constant, Never, Promise
from resonate_sdk.execution.effects import Done


def leaf(ctx, value=None):
    return value


def broken(ctx):
    raise ValueError("broken")


def returns(ctx):
    return "returned"
    yield


def raises(ctx):
    raise KeyError("raised")
    yield


def ended(world, outcome):
    """What became of a function that returns or raises."""
    assert isinstance(outcome, Done), outcome
    try:
        return world.outcome_of(outcome)
    except KeyError as error:
        return error.args[0]


BOTH_ENDS = pytest.mark.parametrize(
    ("end", "result"), [(returns, "returned"), (raises, "raised")], ids=["return", "raise"]
)


@BOTH_ENDS
def test_local_children_are_settled_first(world, end, result):
    def child(ctx):
        yield ctx.run(leaf)
        yield ctx.run(leaf)

    def parent(ctx):
        yield ctx.begin_run(leaf)
        yield ctx.begin_run(child)
        return (yield from end(ctx))

    assert ended(world, world.run(parent)) == result
    assert {id for id, _ in world.server.settled} == {"x.1", "x.2", "x.2.1", "x.2.2"}


@BOTH_ENDS
def test_remote_children_are_waited_for_first(world, end, result):
    def parent(ctx):
        yield ctx.begin_rpc("bar")
        yield ctx.begin_rpc("baz").options(id="own")
        return (yield from end(ctx))

    assert world.awaited(parent) == ("own",)
    world.server.resolve("own")
    assert world.awaited(parent) == ("x.1",)
    world.server.resolve("x.1")
    assert ended(world, world.run(parent)) == result


@BOTH_ENDS
def test_sleeps_that_were_never_awaited_are_waited_for(world, end, result):
    def parent(ctx):
        promise = yield ctx.begin_run(napping)
        assert isinstance(promise, Promise)
        return (yield from end(ctx))

    def napping(ctx):
        yield ctx.sleep(10)

    assert world.awaited(parent) == ("x.1.1",)
    world.clock.advance(10)
    assert ended(world, world.run(parent)) == result


@BOTH_ENDS
def test_detached_executions_are_not_waited_for(world, end, result):
    def parent(ctx):
        yield ctx.detached("bar")
        yield ctx.detached("baz").options(id="own")
        return (yield from end(ctx))

    assert ended(world, world.run(parent)) == result
    assert world.server.state("own") == "pending"


@BOTH_ENDS
def test_a_promise_without_an_id_is_a_child(world, end, result):
    def parent(ctx):
        yield ctx.promise()
        return (yield from end(ctx))

    assert world.awaited(parent) == ("x.1",)
    world.server.resolve("x.1")
    assert ended(world, world.run(parent)) == result


@BOTH_ENDS
def test_a_promise_with_an_id_is_somebody_elses(world, end, result):
    def parent(ctx):
        yield ctx.promise(id="answer")
        return (yield from end(ctx))

    assert ended(world, world.run(parent)) == result
    assert world.server.state("answer") == "pending"


@BOTH_ENDS
def test_a_local_call_with_an_id_is_a_child_all_the_same(world, end, result):
    def child(ctx):
        yield ctx.rpc("bar")

    def parent(ctx):
        yield ctx.begin_run(child).options(id="own")
        return (yield from end(ctx))

    assert world.awaited(parent) == ("own.1",)
    world.server.resolve("own.1")
    assert ended(world, world.run(parent)) == result
    assert world.server.state("own") == "resolved"


def test_a_child_settles_after_its_own_children(world):
    def child(ctx):
        yield ctx.begin_rpc("bar")
        return "child"

    def parent(ctx):
        return (yield ctx.run(child))

    assert world.awaited(parent) == ("x.1.1",)
    assert world.server.state("x.1") == "pending"
    world.server.resolve("x.1.1")
    assert world.result(parent) == "child"


def test_a_function_that_has_ended_ends_again_at_the_same_place(world):
    runs = []

    def parent(ctx):
        runs.append("begun")
        yield ctx.begin_rpc("bar")
        yield ctx.begin_rpc("baz")
        runs.append("ended")
        return len(runs)

    world.awaited(parent)
    world.server.resolve("x.2")
    world.awaited(parent)
    world.server.resolve("x.1")

    assert world.result(parent) == 6
    assert runs == ["begun", "ended"] * 3


def test_the_failure_of_a_child_nobody_awaits_does_not_fail_its_parent(world):
    def parent(ctx):
        yield ctx.begin_run(broken).options(retry_policy=Never())
        yield ctx.begin_rpc("bar")
        return "fine"

    world.awaited(parent)
    world.server.reject("x.2", ValueError("remote"))

    assert world.result(parent) == "fine"
    assert world.server.state("x.1") == "rejected"


def test_the_failure_of_a_child_nobody_awaits_is_logged_with_its_id(world, caplog):
    def parent(ctx):
        yield ctx.begin_run(broken).options(retry_policy=Never())
        return "fine"

    with caplog.at_level(logging.WARNING):
        world.result(parent)

    assert any("x.1" in record.getMessage() for record in caplog.records)


def test_the_failure_of_a_child_that_was_awaited_is_not_logged_once_more(world, caplog):
    def parent(ctx):
        first = yield ctx.begin_run(broken).options(retry_policy=Never())
        second = yield ctx.begin_run(broken).options(retry_policy=Never())
        for promise in (first, second):
            with suppress(Exception):
                yield promise

    with caplog.at_level(logging.WARNING):
        world.result(parent)

    assert "nobody awaited" not in caplog.text


def test_a_failure_that_result_has_raised_is_not_logged_once_more(world, caplog):
    def parent(ctx):
        promise = yield ctx.begin_rpc("bar")
        yield ctx.rpc("baz")
        with suppress(ValueError):
            promise.result()

    world.awaited(parent)
    world.server.reject("x.1", ValueError("remote"))
    world.server.resolve("x.2")

    with caplog.at_level(logging.WARNING):
        world.result(parent)

    assert "nobody awaited" not in caplog.text


def test_the_functions_own_error_wins_over_those_of_its_children(world):
    def parent(ctx):
        yield ctx.begin_run(broken).options(retry_policy=Never())
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        world.result(parent)


def test_children_of_a_failed_attempt_are_waited_for_as_well(world):
    attempts = []

    def child(ctx):
        yield ctx.rpc("bar")

    def parent(ctx):
        attempts.append(1)
        if len(attempts) == 1:
            yield ctx.begin_run(child)
            raise ValueError("first attempt")
        return "second attempt"

    def root(ctx):
        return (yield ctx.run(parent).options(retry_policy=Constant(0)))

    assert world.awaited(root) == ("x.1.1.1",)


def test_nothing_is_pending_below_a_function_that_has_settled(world):
    def noisy(ctx, depth):
        yield ctx.begin_run(leaf)
        if depth:
            yield ctx.begin_run(noisy, depth - 1)
            yield ctx.begin_run(noisy, depth - 1)
        if depth % 2:
            raise ValueError(depth)

    def parent(ctx):
        yield ctx.begin_run(noisy, 3)

    assert isinstance(world.run(parent), Done)
    pending = [id for id in world.server.promises if world.server.state(id) == "pending"]
    assert pending == ["x"]  # which the worker settles with the outcome
