"""What an execution leaves behind: nothing that Python's collector of cycles would have to find.

Nor does one that is suspended, without a cache.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Generator
from threading import Semaphore
from types import CoroutineType, GeneratorType
from typing import Any

import pytest

from resonate_sdk import Context, Resonate
from resonate_sdk.execution.execution import Execution
from resonate_sdk.execution.family import Family
from resonate_sdk.execution.nodes import Activation, Node
from tests.processes import wait_until


@pytest.fixture
def found_before() -> Generator[Counter[str]]:
    """What is there before anything is run, while Python's collector does not look."""
    gc.collect()
    gc.disable()
    yield parts_of_executions()
    gc.enable()


def parts_of_executions() -> Counter[str]:
    return Counter(
        type(thing).__qualname__
        for thing in gc.get_objects()
        if isinstance(thing, Execution | Activation | Node | Family | Context)
    )


def leaf(ctx):
    return 1


def steps(ctx):
    first = yield ctx.run(leaf)
    second = yield ctx.begin_run(leaf)
    return first + (yield second)


def joins(ctx):
    children = []
    for _ in range(5):
        children.append((yield ctx.begin_rpc(leaf)))
    done = yield ctx.all(children)
    return sum(done)


def sleeps(ctx):
    yield ctx.sleep(0.001)
    return (yield ctx.rpc(leaf))


def takes_a_result(ctx):
    child = yield ctx.begin_rpc(leaf)
    return child.result()


async def awaits(ctx):
    await ctx.sleep(0.001)
    return await ctx.run(leaf) + await ctx.rpc(leaf)


async def waits_elsewhere(ctx):
    await asyncio.get_running_loop().run_in_executor(None, int)
    return await ctx.run(leaf)


@pytest.mark.parametrize("cache_size", [0, 1000])
@pytest.mark.parametrize(
    "function", [leaf, steps, joins, sleeps, takes_a_result, awaits, waits_elsewhere]
)
def test_an_execution_leaves_nothing_to_the_collector(
    found_before: Counter[str], function: Callable[..., Any], cache_size: int
):
    with Resonate.local(cache_size=cache_size) as resonate:
        for each in {leaf, function}:
            resonate.register(each)
        for number in range(3):
            assert resonate.run(f"{function.__name__}.{number}", function) > 0

    assert parts_of_executions() == found_before


def asks(ctx):
    return (yield (yield ctx.promise(id=f"question of {ctx.id}")))


async def asks_and_awaits(ctx):
    return await (await ctx.promise(id=f"question of {ctx.id}"))


def bodies(function: Callable[..., Any]) -> list[object]:
    """The calls of a function that have not ended."""
    return [
        thing
        for thing in gc.get_objects()
        if isinstance(thing, GeneratorType | CoroutineType)
        and function.__code__ in (getattr(thing, "gi_code", 0), getattr(thing, "cr_code", 0))
    ]


@pytest.mark.parametrize("function", [asks, asks_and_awaits])
def test_what_is_suspended_takes_no_memory_without_a_cache(
    found_before: Counter[str], function: Callable[..., Any]
):
    def is_nothing_left() -> bool:
        return parts_of_executions() == found_before and not bodies(function)

    with Resonate.local(cache_size=0) as resonate:
        suspended = Semaphore(0)
        resonate.on("suspend", lambda _: suspended.release())
        handles = [resonate.register(function).begin_run("0")]
        handles += [resonate.begin_run(str(n), function) for n in range(1, 20)]
        assert all(suspended.acquire(timeout=30) for _ in handles)

        assert wait_until(is_nothing_left, seconds=30), parts_of_executions()
        for handle in handles:
            resonate.promises.resolve(f"question of {handle.id}", handle.id)
        assert [handle.result(30) for handle in handles] == [handle.id for handle in handles]
