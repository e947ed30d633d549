"""A program whose types are checked: what must be inferred, and what must be refused.

It is never run. Each `ignore` stands where pyright must complain: one that is not needed is an
error itself.
"""
# pyright: strict

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, assert_type

from resonate_sdk import (
    Call,
    Context,
    Handle,
    Invocation,
    Op,
    Promise,
    Resonate,
    Workflow,
)

resonate = Resonate.local()


@dataclass
class Order:
    item: str


# Registration: parameters behind the context, and the result unwrapped


@resonate.register
def plain(ctx: Context, count: int, *, unit: str = "kg") -> Order:
    return Order(f"{count} {unit}")


@resonate.register
def workflow(ctx: Context, count: int) -> Workflow[float]:
    return float((yield ctx.sleep(count)) or count)


@resonate.register
def spelled(ctx: Context) -> Generator[Op[Any], Any, list[int]]:
    yield ctx.sleep(1)
    return [1]


@resonate.register(name="coroutine", version=2)
async def coroutine(ctx: Context, order: Order) -> str:
    await ctx.sleep(1)
    return order.item


def unregistered(ctx: Context, a: int, b: str = "") -> bytes:
    return b.encode() * a


def unregistered_workflow(ctx: Context, a: int) -> Workflow[bytes]:
    return (yield from ctx.run(unregistered, a))


assert_type(plain.name, str)
assert_type(resonate.register(unregistered, name="other").begin_run("id", 1), Handle[bytes])
assert_type(resonate.register(unregistered_workflow).begin_run("id", 1), Handle[bytes])

# Calls by function, from outside

assert_type(plain.run("id", 1, unit="t"), Order)
assert_type(plain.begin_run("id", 1), Handle[Order])
assert_type(plain.rpc("id", 1), Order)
assert_type(workflow.run("id", 1), float)
assert_type(workflow.begin_rpc("id", count=1), Handle[float])
assert_type(spelled.run("id"), list[int])
assert_type(coroutine.run("id", Order("x")), str)
assert_type(plain.options(timeout=1).begin_run("id", 1).result(), Order)

assert_type(resonate.run("id", plain, 1, unit="t"), Order)
assert_type(resonate.begin_run("id", workflow, 1), Handle[float])
assert_type(resonate.rpc("id", coroutine, Order("x")), str)
assert_type(resonate.begin_rpc("id", spelled), Handle[list[int]])
assert_type(resonate.begin_run("id", workflow, 1).result(5), float)
assert_type(resonate.options(target="g").rpc("id", plain, 1), Order)

assert_type(resonate.run("id", unregistered, 1, "x"), bytes)
assert_type(resonate.begin_rpc("id", unregistered_workflow, 1), Handle[bytes])

assert_type(resonate.rpc("id", "by_name", 1, anything="x"), Any)
assert_type(resonate.begin_rpc("id", func="by_name", arg=1), Handle[Any])
assert_type(resonate.get("id"), Handle[Any])
assert_type(resonate.get("id", type=Order), Handle[Order])
assert_type(resonate.promises.get("id", type=Order).result(), Order)

plain.run("id")  # pyright: ignore[reportCallIssue]
plain.run("id", "1")  # pyright: ignore[reportArgumentType]
plain.run("id", 1, 2)  # pyright: ignore[reportCallIssue]
plain.run("id", 1, units="t")  # pyright: ignore[reportCallIssue]
plain.run(1, 1)  # pyright: ignore[reportArgumentType]
workflow.begin_rpc("id", count="1")  # pyright: ignore[reportArgumentType]
resonate.run("id", plain, "1")  # pyright: ignore[reportCallIssue, reportArgumentType]
resonate.begin_rpc("id", spelled, 1)  # pyright: ignore[reportCallIssue]
plain.run("id", 1).weight()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


# Calls by function, from a durable function


async def awaits(ctx: Context) -> None:
    assert_type(await ctx.run(plain, 1), Order)
    assert_type(await ctx.run(workflow, 1), float)
    assert_type(await ctx.run(coroutine, Order("x")), str)
    assert_type(await ctx.run(unregistered, 1), bytes)
    assert_type(await ctx.rpc(plain, 1), Order)
    assert_type(await ctx.rpc("by_name", 1), Any)
    assert_type(await ctx.begin_run(workflow, 1), Promise[float])
    assert_type(await (await ctx.begin_rpc(workflow, 1)), float)
    assert_type((await ctx.begin_run(plain, 1)).result(), Order)
    assert_type(await ctx.sleep(1), None)
    assert_type(await ctx.detached(plain, 1), Promise[Order])

    assert_type(await ctx.all(ctx.run(plain, 1), ctx.rpc(workflow, 1)), tuple[Order, float])
    assert_type(await ctx.all([ctx.run(plain, 1)]), list[Order])
    assert_type((await ctx.race([ctx.run(plain, 1)])).value, Order)

    await ctx.run(plain, "1")  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ctx.run(unregistered, 1, 2)  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ctx.rpc(workflow)  # pyright: ignore[reportCallIssue]
    await ctx.run(plain(ctx, 1))


def yields(ctx: Context) -> Workflow[int]:
    assert_type(ctx.run(plain, 1), Call[Order])
    assert_type(ctx.begin_rpc(workflow, 1), Invocation[float])
    assert_type(ctx.run(unregistered_workflow, 1), Call[bytes])
    assert_type(ctx.run(plain, 1).options(timeout=5), Call[Order])
    assert_type((yield from ctx.run(plain, 1)), Order)
    assert_type((yield from ctx.begin_run(workflow, 1)), Promise[float])
    assert_type((yield from (yield from ctx.begin_rpc(coroutine, Order("x")))), str)
    assert_type((yield from ctx.lfc(plain, 1)), Order)
    assert_type((yield from ctx.rfi(plain, 1)), Promise[Order])
    assert_type((yield ctx.run(plain, 1)), Any)
    assert_type(ctx.get_dependency(Order), Order)
    assert_type(ctx.get_dependency("order"), Any)

    yield 1  # pyright: ignore[reportReturnType]
    yield ctx.run(plain)  # pyright: ignore[reportCallIssue]
    return "x"  # pyright: ignore[reportReturnType]


def typed_promises(ctx: Context) -> Workflow[None]:
    assert_type(ctx.promise(), Invocation[Any])
    assert_type(ctx.promise(id="x", type=Order), Invocation[Order])
    assert_type((yield from (yield from ctx.promise(type=list[int], timeout=5))), list[int])
    assert_type(ctx.rpc("by_name", 1).options(type=Order), Call[Order])
    assert_type(ctx.rpc("by_name", 1).options(target="g"), Call[Any])
    assert_type(ctx.begin_rpc("by_name").options(target="g", type=bytes), Invocation[bytes])
    assert_type((yield from ctx.rpc("by_name").options(type=Order, timeout=1)), Order)

    ctx.run(plain, 1).options(timeouts=5)  # pyright: ignore[reportCallIssue]
    ctx.options(durable=False)  # pyright: ignore[reportCallIssue]
    resonate.options(timeout="5")  # pyright: ignore[reportArgumentType]
    plain.options(id="x")  # pyright: ignore[reportCallIssue]
