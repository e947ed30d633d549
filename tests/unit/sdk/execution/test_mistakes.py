"""What cannot work is said where it is written, with what to write instead."""

import asyncio
import gc
import logging
from datetime import datetime
from typing import Any

import pytest

from resonate_sdk import Function, Promise, UsageError
from resonate_sdk.execution.effects import Done
from resonate_sdk.functions.callee import describe
from resonate_sdk.functions.registry import Registered


def leaf(ctx, value=None):
    return value


def workflow(ctx):
    yield ctx.run(leaf)


async def coroutine(ctx):
    return 1


def registered():
    """A function as `register` gives it back."""
    caller: Any = None  # it is not called
    return Function(caller, Registered(name="leaf", version=1, callee=describe(leaf)))


# Waiting for what cannot be waited for


@pytest.mark.parametrize(
    ("make", "named", "advice"),
    [
        (lambda ctx: None, "None", "ctx.run"),
        (lambda ctx: 17, "17", "ctx.run"),
        (lambda ctx: "text", "'text'", "ctx.run"),
        (lambda ctx: leaf, "leaf", "did you mean ctx.run(leaf, ...)?"),
        (lambda ctx: workflow, "workflow", "did you mean ctx.run(workflow, ...)?"),
        (lambda ctx: workflow(ctx), "workflow", "did you mean ctx.run(workflow, ...)?"),
        (lambda ctx: registered(), "leaf", "did you mean ctx.run(leaf, ...)?"),
        (lambda ctx: ctx, "Context", "ctx.run"),
    ],
    ids=["None", "number", "text", "function", "workflow", "generator", "registered", "context"],
)
def test_yielding_something_else_is_a_usage_error_with_advice(world, make, named, advice):
    def parent(ctx):
        try:
            yield make(ctx)
        except UsageError as error:
            return str(error)

    message = world.result(parent)

    assert named in message
    assert advice in message


def test_yielding_a_coroutine_is_a_usage_error_with_advice(world):
    def parent(ctx):
        waiting = coroutine(ctx)
        try:
            yield waiting
        except UsageError as error:
            return str(error)
        finally:
            waiting.close()

    assert "did you mean ctx.run(coroutine, ...)?" in world.result(parent)


def test_the_body_goes_on_after_such_a_mistake(world):
    def parent(ctx):
        with pytest.raises(UsageError):
            yield 17
        return (yield ctx.run(leaf, "fine"))

    assert world.result(parent) == "fine"


def test_such_a_mistake_rejects_the_function_that_made_it(world):
    def parent(ctx):
        yield 17

    with pytest.raises(UsageError, match="cannot wait for 17"):
        world.result(parent)


# Returning what should have been awaited


@pytest.mark.parametrize(
    "make",
    [
        lambda ctx: ctx.run(leaf),
        lambda ctx: ctx.begin_run(leaf),
        lambda ctx: ctx.rpc("bar"),
        lambda ctx: ctx.sleep(1),
        lambda ctx: ctx.promise(),
        lambda ctx: ctx.detached("bar"),
    ],
    ids=["run", "begin_run", "rpc", "sleep", "promise", "detached"],
)
@pytest.mark.parametrize("is_workflow", [True, False])
def test_returning_a_command_is_a_usage_error(world, make, is_workflow):
    def body(ctx):
        yield ctx.sleep(0)
        return make(ctx)

    with pytest.raises(UsageError, match=r"write `return \(yield ...\)`"):
        world.result(body if is_workflow else make)


def test_returning_a_promise_is_a_usage_error(world):
    def parent(ctx):
        return (yield ctx.begin_run(leaf))

    with pytest.raises(UsageError, match=r"Promise.*instead of its value"):
        world.result(parent)


def test_a_child_that_returns_a_command_is_rejected(world):
    def child(ctx):
        return ctx.run(leaf)

    def parent(ctx):
        with pytest.raises(UsageError, match="child returned"):
            yield ctx.run(child)
        return "caught"

    assert world.result(parent) == "caught"


# A command that is never yielded


@pytest.mark.parametrize("is_workflow", [True, False])
def test_a_command_that_was_never_yielded_is_warned_of_with_its_line(world, caplog, is_workflow):
    def workflow(ctx):
        ctx.run(leaf)  # the forgotten one
        yield ctx.sleep(0)

    def plain(ctx):
        ctx.run(leaf)

    func = workflow if is_workflow else plain
    with caplog.at_level(logging.WARNING):
        world.run(func)
        gc.collect()

    line = func.__code__.co_firstlineno + 1
    messages = [record.getMessage() for record in caplog.records]
    assert any("leaf" in text and f"test_mistakes.py:{line}" in text for text in messages), messages


def test_a_command_that_was_yielded_is_not_warned_of(world, caplog):
    def parent(ctx):
        yield ctx.run(leaf)
        yield ctx.run(leaf).options(timeout=5)
        yield (yield ctx.begin_run(leaf))

    with caplog.at_level(logging.WARNING):
        world.run(parent)
        gc.collect()

    assert caplog.records == []


# A context that is used when its function is over


def test_the_context_of_a_function_that_has_ended_is_closed(world):
    contexts = []

    def child(ctx):
        contexts.append(ctx)

    def parent(ctx):
        contexts.append(ctx)
        yield ctx.run(child)
        for call in (
            lambda late: late.run(leaf),
            lambda late: late.begin_rpc("bar"),
            lambda late: late.sleep(1),
            lambda late: late.promise(),
            lambda late: late.detached("bar"),
            lambda late: late.options(timeout=1).run(leaf),
        ):
            with pytest.raises(UsageError, match=r"'x.1' has ended"):
                call(contexts[1])

    world.result(parent)
    with pytest.raises(UsageError, match="'x' has ended"):
        contexts[0].run(leaf)


def test_a_closed_context_still_tells_who_it_was(world):
    contexts = []
    world.result(contexts.append)

    assert contexts[0].id == "x"
    assert contexts[0].info.attempt == 1


# Things that are not functions, or not yet


def test_calling_the_function_instead_of_naming_it_is_a_usage_error(world):
    def parent(ctx):
        yield ctx.run(leaf(ctx, 5))

    with pytest.raises(UsageError, match=r"write ctx.run\(f, x\), not ctx.run\(f\(ctx, x\)\)"):
        world.result(parent)


def test_a_function_without_a_parameter_for_the_context_is_a_usage_error(world):
    def nullary():
        return 1

    def parent(ctx):
        yield ctx.run(nullary)

    with pytest.raises(UsageError, match="needs a first parameter for the context"):
        world.result(parent)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda ctx: ctx.sleep(), UsageError, "either seconds or until="),
        (lambda ctx: ctx.sleep(1, until=datetime(2026, 1, 1)), UsageError, "either"),  # noqa: DTZ001
        (lambda ctx: ctx.sleep(until=datetime(2026, 1, 1)), UsageError, "time zone"),  # noqa: DTZ001
        (lambda ctx: ctx.sleep(-1), ValueError, "0 seconds or more, found -1"),
        (lambda ctx: ctx.promise(timeout=-1), ValueError, "0 seconds or more"),
        (lambda ctx: ctx.run(leaf).options(timeout=-1), ValueError, "0 seconds or more"),
        (lambda ctx: ctx.rpc("b").options(version=-1), ValueError, "found -1"),
        (lambda ctx: ctx.rpc("b").options(target="a", send_to="b"), UsageError, "one of them"),
        (lambda ctx: ctx.rpc("b").options(target="no such form!"), ValueError, "is no address"),
        (lambda ctx: ctx.promise(tags={"resonate:origin": "x"}), UsageError, "reserved"),
    ],
)
def test_a_senseless_option_is_refused_where_it_is_given(world, call, error, message):
    def parent(ctx):
        call(ctx)
        yield

    with pytest.raises(error, match=message):
        world.result(parent)
    assert world.server.ids == []


@pytest.mark.parametrize(
    "call",
    [
        lambda ctx: ctx.promise(tags={"team": "x" * 2_000}),
        lambda ctx: ctx.promise(tags={"k" * 200: "x"}),
        lambda ctx: ctx.promise(tags={f"tag-{n}": "x" for n in range(70)}),
        lambda ctx: ctx.promise(id="x" * 2_000),
        lambda ctx: ctx.rpc("bar").options(id="x" * 2_000),
        lambda ctx: ctx.run(leaf).options(id="x" * 2_000),
        lambda ctx: ctx.promise(id="nul \x00"),
        lambda ctx: ctx.promise(id=""),
        lambda ctx: ctx.rpc("bar").options(id=""),
    ],
    ids=[
        "tag value",
        "tag key",
        "tags",
        "promise id",
        "rpc id",
        "run id",
        "NUL",
        "empty id",
        "empty rpc id",
    ],
)
def test_what_the_server_would_refuse_is_raised_in_the_body_and_not_sent(world, call):
    """The server's refusal would end the pass, and each further one, for ever."""

    def parent(ctx):
        with pytest.raises((ValueError, UsageError)):
            yield call(ctx)
        return "told"

    assert world.result(parent) == "told"
    assert world.server.ids == []


def test_a_recursion_whose_ids_grow_too_long_is_told_so(world):
    def down(ctx, n):
        return 0 if n == 0 else 1 + (yield ctx.run(down, n - 1))

    with pytest.raises(Exception, match="1024") as caught:
        world.result(down, 600)
    assert not isinstance(caught.value, AssertionError)
    assert max(len(id) for id in world.server.ids) <= 1_024


@pytest.mark.parametrize("awaits", ["itself", "its parent"])
def test_waiting_for_oneself_is_a_usage_error_not_a_deadlock(world, awaits):
    def child(ctx):
        yield Promise(ctx.id if awaits == "itself" else ctx.info.parent_id)

    def parent(ctx):
        return (yield ctx.run(child))

    with pytest.raises(UsageError):
        world.result(parent)


def test_an_asyncio_future_is_not_one_of_our_promises(world):
    loop = asyncio.new_event_loop()
    future = loop.create_future()

    def parent(ctx):
        with pytest.raises(UsageError, match="cannot wait for"):
            yield future
        return "told"

    assert isinstance(world.run(parent), Done)
    loop.close()
