"""The same recursion in every form and in every place gives what plain Python gives.

The oracle is the recursion itself, without anything durable about it.
"""

from collections.abc import Callable
from itertools import product
from math import gcd

import pytest
from msgspec import Struct

from resonate_sdk.testing import Environment, explore, inline

FORMS = ("generator", "coroutine")
PLACES = ("local", "remote", "mixed")
CACHE_SIZES = (0, 1_000)


class Program(Struct, frozen=True):
    """A recursion as the steps of a function: what it calls, and what it makes of the results.

    Attributes:
        parts: the arguments of the calls that are needed; none at the bottom.
        combine: the value, given the results of those calls.
        args: with which it is tried.
        is_like: the value that it must have.
    """

    parts: Callable[..., list[tuple[int, ...]]]
    combine: Callable[..., int]
    args: tuple[int, ...]
    expected: int


PROGRAMS = {
    "fib": Program(
        lambda n: [(n - 1,), (n - 2,)] if n > 1 else [],
        lambda results, n: sum(results) if results else n,
        (6,),
        8,
    ),
    "fac": Program(
        lambda n: [(n - 1,)] if n else [], lambda results, n: n * results[0] if n else 1, (6,), 720
    ),
    "gcd": Program(
        lambda a, b: [(b, a % b)] if b else [],
        lambda results, a, b: results[0] if b else a,
        (54, 24),
        gcd(54, 24),
    ),
}


def plain(program, *args):
    return program.combine([plain(program, *part) for part in program.parts(*args)], *args)


def written(name, form, place):
    """The program as a durable function."""
    program = PROGRAMS[name]

    def call(ctx, number, args):
        is_remote = place == "remote" or (place == "mixed" and number % 2)
        return ctx.begin_rpc("it", *args) if is_remote else ctx.begin_run("it", *args)

    def generator(ctx, *args):
        promises = []
        for number, part in enumerate(program.parts(*args)):
            promises.append((yield call(ctx, number + len(ctx.id), part)))
        results = []
        for promise in promises:
            results.append((yield promise))
        return program.combine(results, *args)

    async def coroutine(ctx, *args):
        promises = [
            await call(ctx, number + len(ctx.id), part)
            for number, part in enumerate(program.parts(*args))
        ]
        return program.combine([await promise for promise in promises], *args)

    func = generator if form == "generator" else coroutine
    func.__name__ = "it"
    return func


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_oracle_is_right(name):
    program = PROGRAMS[name]

    assert plain(program, *program.args) == program.expected


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("place", PLACES)
def test_as_an_ordinary_call(name, place):
    program = PROGRAMS[name]

    for form in FORMS:
        assert inline(written(name, form, place), *program.args) == program.expected


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("place", PLACES)
def test_in_every_way_by_two_workers_and_with_the_same_promises(name, place):
    program = PROGRAMS[name]
    trees: list[str] = []
    for form, cache_size in product(FORMS, CACHE_SIZES):
        with Environment() as env:
            env.worker(register=[written(name, form, place)], cache_size=cache_size)
            env.worker(cache_size=cache_size)
            client = env.client("x").options(target="default")

            assert client.rpc("id", "it", *program.args) == program.expected
            trees.append(env.tree("id"))

    assert len(set(trees)) == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("place", "cache_size"), [("local", 0), *product(["remote", "mixed"], CACHE_SIZES)]
)
def test_with_a_crash_at_every_place(form, place, cache_size):
    exploration = explore(written("fib", form, place), args=[2], cache_size=cache_size)

    assert exploration.expected.value == plain(PROGRAMS["fib"], 2)


@pytest.mark.parametrize("name", PROGRAMS)
def test_when_every_write_ends_the_pass(name):
    program = PROGRAMS[name]
    with Environment(always_replay=True) as env:
        env.worker(register=[written(name, "generator", "mixed")])
        client = env.client("x").options(target="default")

        assert client.rpc("id", "it", *program.args) == program.expected


@pytest.mark.parametrize("form", FORMS)
def test_a_promise_handed_down_through_a_recursion_gives_its_value_everywhere(form):
    def generator(ctx, promise, times):
        if not times:
            return ""
        text = yield promise
        return text + (yield ctx.run(generator, promise, times - 1))

    async def coroutine(ctx, promise, times):
        if not times:
            return ""
        text = await promise
        return text + await ctx.run(coroutine, promise, times - 1)

    def main(ctx):
        promise = yield ctx.begin_run(lambda ctx: "ab")
        return (yield ctx.run(generator if form == "generator" else coroutine, promise, 3))

    assert explore(main).expected.value == "ab" * 3
