"""Durable functions as ordinary calls."""

import asyncio
from dataclasses import dataclass

import pytest

from resonate_sdk import UsageError
from resonate_sdk.testing import fake, inline


@dataclass
class Price:
    cents: int


def add_one(ctx, n):
    return n + 1


def price(ctx, item: str) -> Price:
    return Price(len(item))


def order(ctx, item, *, days=1):
    found = yield ctx.rpc("price", item).options(target="shop")
    yield ctx.sleep(days * 86_400)
    approval = yield (yield ctx.promise(id="approval"))
    return [item, found, approval, (yield ctx.run(add_one, days))]


async def waits(ctx, n):
    first, second = ctx.run(add_one, n), ctx.run(add_one, n + 1)
    async with asyncio.timeout(60):  # something that is not ours
        await asyncio.to_thread(str)
    await ctx.sleep(3_600)
    return [await first, await second, await ctx.rpc(add_one, n + 2)]


def fib(ctx, n):
    if n < 2:
        return n
    a = yield ctx.begin_run(fib, n - 1)
    b = yield ctx.begin_rpc(fib, n - 2)
    return (yield a) + (yield b)


def test_a_generator_with_answers():
    answers = {"price": 3, "approval": "yes"}

    assert inline(order, "tea", days=2, answers=answers) == ["tea", 3, "yes", 3]


def test_an_async_function():
    assert inline(waits, 1, register=[add_one]) == [2, 3, 4]


def test_a_plain_function():
    assert inline(add_one, 1) == 2
    assert inline(lambda ctx, n: n * 2, 4) == 8


def test_recursion_by_run_and_rpc():
    assert inline(fib, 10) == 55


def test_typed_results_come_back():
    def typed(ctx):
        return (yield ctx.rpc(price, "tea")).cents

    assert inline(typed, register=[price]) == 3
    assert inline(price, "tea") == Price(3)


def test_answers_may_raise_or_compute():
    def tries(ctx):
        try:
            return (yield ctx.rpc("price", "tea"))
        except LookupError as error:
            return str(error)

    assert inline(tries, answers={"price": LookupError("no tea")}) == "no tea"
    assert inline(tries, answers={"price": len}) == 3


def test_fakes_stand_in():
    def calls(ctx):
        return (yield ctx.run(add_one, 1))

    assert inline(calls, register=[fake(add_one, returns=7)]) == 7


def test_what_the_function_raises_is_raised():
    def fails(ctx):
        yield ctx.run(add_one, 1)
        raise ZeroDivisionError("by hand")

    with pytest.raises(ZeroDivisionError, match="by hand"):
        inline(fails)


@pytest.mark.parametrize(("answers", "missing"), [({}, "price"), ({"price": 3}, "approval")])
def test_a_missing_answer_is_named(answers, missing):
    with pytest.raises(
        UsageError, match=rf"nobody answers for '{missing}': inline\(\.\.\., answers="
    ):
        inline(order, "tea", answers=answers)
