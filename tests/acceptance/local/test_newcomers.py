"""Mistakes of a first hour: each ends in one sentence that says what to write instead."""

import asyncio
import logging
import os
import re
import traceback

import pytest

from resonate_sdk import (
    EncodeError,
    FunctionNotFoundError,
    Never,
    Resonate,
    ResonateError,
    UsageError,
)

WAIT_S = 30


def leaf(ctx, value=None):
    return value


def generator(ctx):
    return (yield ctx.run(leaf, 1))


def told(resonate, func):
    """What a function is told that makes a mistake and does not catch it."""
    function = resonate.options(retry_policy=Never()).register(func, name="mistaken")
    with pytest.raises(UsageError) as caught:
        function.run("x")
    return str(caught.value)


def test_a_forgotten_yield(resonate, caplog):
    def forgets(ctx):
        ctx.run(leaf, 1)
        return (yield ctx.run(leaf, 2))

    with caplog.at_level(logging.WARNING):
        assert resonate.register(forgets).run("x") == 2
    (said,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert said == (
        "run leaf was never started: forgotten `yield`? promise_id=x "
        f"at={__file__}:{forgets.__code__.co_firstlineno + 1}"
    )


def test_a_forgotten_yield_at_the_return(resonate):
    def forgets(ctx):
        yield ctx.run(leaf)
        return ctx.run(leaf)

    assert told(resonate, forgets) == (
        "forgets returned <run leaf> instead of its value: write `return (yield ...)`"
    )


def test_a_forgotten_await_at_the_return(resonate):
    async def forgets(ctx):
        return ctx.run(leaf)

    assert told(resonate, forgets) == (
        "forgets returned <run leaf> instead of its value: write `return (await ...)`"
    )


@pytest.mark.parametrize("keyword", ["yield", "await"])
def test_a_function_that_is_called_and_not_run_at_the_return(resonate, keyword):
    async def coroutine(ctx):
        return 1

    def yields(ctx):
        yield ctx.run(leaf)
        return generator(ctx)

    async def awaits(ctx):
        return coroutine(ctx)

    func, called = (yields, "generator") if keyword == "yield" else (awaits, "coroutine")
    assert told(resonate, func) == (
        f"{func.__name__} returned what {called}(...) gives, which was never run: write "
        f"`return ({keyword} ctx.run({called}, ...))`"
    )


def forgets_at_the_return(ctx):
    return ctx.run(leaf)
    yield


def cannot_be_stored(ctx):
    return object()


def misspells(ctx):
    yield ctx.run(leaf).options(timeot=5)


def calls_it_itself(ctx):
    yield ctx.run(leaf(ctx, 5))


@pytest.mark.parametrize(
    ("func", "times"),
    [(forgets_at_the_return, 1), (cannot_be_stored, 1), (misspells, 2), (calls_it_itself, 2)],
)
def test_what_a_terminal_shows_is_short_and_about_the_program(resonate, caplog, func, times):
    """The sentence stands at the end, and once more below the line of the program that it is about."""
    with pytest.raises(ResonateError) as caught, caplog.at_level(logging.WARNING):
        resonate.register(func).run("x")

    shown = "".join(traceback.format_exception(caught.value))
    places = re.findall(r'File "(.*)", line', shown)
    ours = [place for place in places if f"{os.sep}resonate_sdk{os.sep}" in place]
    assert shown.count(str(caught.value)) == times
    assert [place.rpartition(os.sep)[2] for place in ours] == ["function.py", "handle.py"]
    assert set(places) - {*ours} == {__file__}
    assert caplog.records == []


def test_a_plain_generator_that_is_yielded(resonate):
    def calls(ctx):
        return (yield generator(ctx))

    sentence = re.sub("0x[0-9a-f]+", "...", told(resonate, calls))
    assert sentence == (
        "a durable function cannot wait for <generator object generator at ...>: did you mean "
        "ctx.run(generator, ...)?"
    )


def test_an_async_function_that_yields(resonate):
    async def calls(ctx):
        yield ctx.run(leaf, 5)

    assert told(resonate, calls) == (
        "calls is an async function that yields: write `await ctx.run(...)` in it, or `def` "
        "instead of `async def`"
    )


def test_a_recursion_that_is_too_deep_to_be_named(resonate):
    def calls(ctx):
        return (yield ctx.run(calls))

    sentence = told(resonate, calls)
    assert "is too deep in others: its id has 1025 bytes, the limit is 1024: " in sentence
    assert sentence.endswith("give some of them ids of their own, .options(id=...)")


def test_a_request_that_would_block_a_running_loop(resonate):
    async def asks():
        resonate.promises.create("p")

    with pytest.raises(UsageError, match=r"would block .* write `await resonate\.aio\.get"):
        asyncio.run(asks())


def test_the_call_of_a_function_instead_of_its_name(resonate):
    def calls(ctx):
        return (yield ctx.run(leaf(ctx, 5)))

    assert told(resonate, calls) == (
        "5 is not a function: write ctx.run(f, x), not ctx.run(f(ctx, x))"
    )


@pytest.mark.parametrize("keyword", ["yield", "await"])
def test_a_blocking_call_in_a_body(resonate, keyword):
    function = resonate.register(leaf)

    def yields(ctx):
        return function.run("y", 1)
        yield

    async def awaits(ctx):
        return function.run("y", 1)

    assert told(resonate, yields if keyword == "yield" else awaits) == (
        f"waiting for 'y' would block a durable function: write `{keyword} ctx.run(...)`, "
        f"`{keyword} ctx.rpc(...)` or `{keyword} ctx.promise(...)`"
    )


def test_a_function_that_is_not_registered(resonate):
    with pytest.raises(FunctionNotFoundError) as caught:
        resonate.run("x", leaf)
    assert str(caught.value) == (
        "function leaf is not registered here: put @resonate.register above it"
    )


def test_a_name_that_is_not_registered(resonate):
    resonate.register(leaf)

    with pytest.raises(FunctionNotFoundError) as caught:
        resonate.run("x", "leave")
    assert str(caught.value) == "function leave is not registered here, these are: leaf"


def test_a_remote_call_of_a_function_that_is_not_registered(resonate):
    def calls(ctx):
        return (yield ctx.rpc(leaf, 1))

    with pytest.raises(FunctionNotFoundError) as caught:
        resonate.register(calls).run("x")
    assert str(caught.value) == (
        "function leaf is not registered here: register it, or call it by the name under which "
        "it is registered elsewhere"
    )


def test_an_argument_that_cannot_be_stored(resonate):
    with pytest.raises(EncodeError) as caught:
        resonate.register(leaf).run("x", object())
    assert str(caught.value) == (
        "argument 1 of leaf: a value of type object cannot be stored as JSON: use plain types, "
        "dataclasses, msgspec, attrs or pydantic models, or teach the codec the type: "
        "codec.register(Type, encode=..., decode=...)"
    )


def test_one_id_for_two_functions(resonate):
    resonate.register(leaf).run("same")

    with pytest.raises(UsageError) as caught:
        resonate.register(generator).run("same")
    assert str(caught.value) == (
        "the id 'same' belongs to a call of leaf, not of generator: give each call an id of its own"
    )


def test_arguments_that_do_not_fit(resonate):
    function = resonate.register(leaf)

    with pytest.raises(UsageError) as caught:
        function.run("x", 1, 2)
    assert str(caught.value) == "leaf(ctx, ...): too many positional arguments"


def test_a_method_that_is_registered_in_its_class(resonate):
    class Shop:
        def price(self, ctx, item):
            return 3

    price = resonate.register(Shop.price)  # as a decorator in the class does
    with pytest.raises(UsageError) as caught:
        price.run("x", "tea")
    assert str(caught.value) == (
        "price(ctx, ...): missing a required argument: 'item': 'self' is taken for the context, "
        "register the method of an object: thing.price"
    )


def test_one_id_for_two_functions_inside_a_function(resonate):
    def other(ctx):
        return 0

    def calls(ctx):
        yield ctx.run(leaf, 1).options(id="same")
        yield ctx.run(other).options(id="same")

    assert told(resonate, calls) == (
        "the id 'same' was given to ctx.run(leaf, ...) and to ctx.run(other, ...): give each call "
        "an id of its own"
    )


def test_a_url_of_another_protocol():
    with pytest.raises(UsageError) as caught:
        Resonate(url="http://localhost:8001")
    assert str(caught.value) == (
        "this client speaks AMQP, not 'http': write 'amqp://user:password@host:5672/', or leave "
        "the URL out to run without a server"
    )
