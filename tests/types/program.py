"""A program whose types are checked: what must be inferred, and what must be refused.

It is never run. Each `ignore` stands where pyright must complain: one that is not needed is an
error itself.
"""
# pyright: strict

import random
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from logging import Logger, LoggerAdapter
from typing import Any, assert_type
from uuid import UUID

from resonate_sdk import (
    Amqp,
    Call,
    Codec,
    Constant,
    Context,
    Exponential,
    Function,
    Handle,
    Info,
    Invocation,
    LocalServer,
    Op,
    Poller,
    Promise,
    RemoteStore,
    Resonate,
    Settled,
    Won,
    Workflow,
    current,
    current_or_none,
    poll,
)
from resonate_sdk.client.aio import AsyncSchedule
from resonate_sdk.debug import History, Report, explain, history, replay, tree
from resonate_sdk.promises import PromiseRecord
from resonate_sdk.schedules import Schedule
from resonate_sdk.targets import amqp
from resonate_sdk.testing import Environment, Exploration, Fake, explore, fake, inline
from resonate_sdk.testing.environment import Process

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


# Everything else that a client has


def makes_clients() -> None:
    assert_type(Resonate(url="amqp://broker/", namespace="shop", group="g", ttl=15), Resonate)
    assert_type(Resonate(network=Amqp("amqp://broker/", group="g", prefetch=4)), Resonate)
    store, source = RemoteStore("amqp://broker/", timeout=5), Poller("amqp://broker/", group="g")
    assert_type(Resonate(store=store, task_source=source), Resonate)
    assert_type(Resonate(store=LocalServer(), message_source=source), Resonate)
    assert_type(Resonate.local(server=LocalServer(), group="g", cache_size=0), Resonate)
    assert_type(Resonate.remote("amqp://broker/", group="g"), Resonate)
    Resonate("amqp://broker/")  # pyright: ignore[reportCallIssue]
    Resonate(on_nondeterminism="ignore")  # pyright: ignore[reportArgumentType]


def uses_a_client(client: Resonate) -> None:
    assert_type(client.pid, str)
    assert_type((client.group, client.anycast, client.unicast), tuple[str, str, str])
    assert_type(client.pending_versions("plain"), dict[int, int])
    assert_type(client.with_dependency(Order("x")), Resonate)
    assert_type(client.set_dependency("order", Order("x")), None)
    assert_type(client.options(target=poll("g"), timeout=timedelta(days=1), version=0), Resonate)
    assert_type(client.options(send_to=amqp("g"), retry_policy=Constant(1)), Resonate)
    assert_type(client.cancel("id", tree=False), None)
    assert_type(client.start(), None)
    assert_type(client.serve(), None)
    assert_type(client.stop(timeout=timedelta(seconds=5)), None)
    assert_type(client.schedule("s", "* * * * *", plain, 1), Schedule)
    assert_type(client.schedule("s", "* * * * *", "by_name", 1, unit="kg"), Schedule)
    with client as entered:
        assert_type(entered, Resonate)
    client.register_exception(
        KeyError, encode=lambda e: {"key": e.args}, decode=lambda d: KeyError(d)
    )
    client.set_dependency(Order, Order("x"))  # pyright: ignore[reportArgumentType]
    client.stop("5")  # pyright: ignore[reportArgumentType]
    client.schedule("s", plain, 1)  # pyright: ignore[reportArgumentType]


def uses_a_function() -> None:
    assert_type(plain.version, int)
    assert_type(plain.get("id"), Handle[Order])
    assert_type(plain.schedule("s", "* * * * *", 1, unit="t"), Schedule)
    assert_type(plain.options(timeout=1).run("id", 1), Order)
    assert_type(hash(plain), int)
    plain.schedule("s", "* * * * *", "1")  # pyright: ignore[reportArgumentType]


def passes_a_function(function: Function[[int], str]) -> str:
    return function.run("id", 1)


passes_a_function(resonate.register(lambda ctx, n: "x", name="lambda"))
passes_a_function(plain)  # pyright: ignore[reportArgumentType]


async def uses_a_handle(handle: Handle[Order]) -> None:
    assert_type(handle.id, str)
    assert_type(handle.future, Future[Order])
    assert_type(handle.result(), Order)
    assert_type(handle.result(timeout=timedelta(seconds=1)), Order)
    assert_type(handle.done(), bool)
    assert_type(handle.created(5), Handle[Order])
    assert_type(handle.cancel(tree=False), None)
    assert_type(await handle, Order)
    handle.result("5")  # pyright: ignore[reportArgumentType]


def uses_promises(client: Resonate) -> None:
    promises = client.promises
    assert_type(promises.create("p", 1_800_000_000_000), PromiseRecord[Any])
    assert_type(promises.create("p", datetime(2026, 1, 1, tzinfo=UTC), param=1), PromiseRecord[Any])
    assert_type(promises.create("p", expires_in=timedelta(days=1), strict=True), PromiseRecord[Any])
    assert_type(promises.get("p"), PromiseRecord[Any])
    assert_type(promises.resolve("p", 1, headers={"a": "b"}), PromiseRecord[Any])
    assert_type(promises.reject("p", ValueError("x")), PromiseRecord[Any])
    assert_type(promises.cancel("p", tree=True), PromiseRecord[Any])
    assert_type(promises.search(id="a*", state="pending", limit=10), Iterator[PromiseRecord[Any]])
    promises.search(state="done")  # pyright: ignore[reportArgumentType]
    promises.create("p", "tomorrow")  # pyright: ignore[reportArgumentType]
    promises.create("p", tags={"a": 1})  # pyright: ignore[reportArgumentType]


def reads_a_record(record: PromiseRecord[Order]) -> None:
    assert_type((record.pending, record.completed, record.resolved), tuple[bool, bool, bool])
    assert_type((record.rejected, record.canceled, record.timedout), tuple[bool, bool, bool])
    assert_type((record.created_at, record.settled_at), tuple[int, int | None])
    assert_type(record.timeout_at, int)
    assert_type(record.tags, Mapping[str, str])
    assert_type(record.result(), Order)


def uses_schedules(client: Resonate) -> None:
    schedules = client.schedules
    assert_type(schedules.create("s", "0 9 * * *", timezone="UTC", overlap="skip"), Schedule)
    assert_type(schedules.get("s"), Schedule)
    assert_type(schedules.delete("s"), None)
    assert_type(schedules.search(tags={"a": "b"}, limit=5), Iterator[Schedule])
    assert_type(schedules.get("s").runs(), Iterator[PromiseRecord[Any]])
    assert_type((schedules.get("s").next_run, schedules.get("s").last_run), tuple[int, int | None])
    assert_type(schedules.get("s").delete(), None)
    schedules.create("s", "0 9 * * *", overlap="sometimes")  # pyright: ignore[reportArgumentType]


async def uses_coroutines(client: Resonate) -> None:
    aio = client.aio
    assert_type(await aio.run("id", plain, 1, unit="t"), Order)
    assert_type(await aio.run("id", unregistered, 1), bytes)
    assert_type(await aio.run("id", unregistered_workflow, 1), bytes)
    assert_type(await aio.run("id", "by_name", 1), Any)
    assert_type(await aio.rpc("id", coroutine, Order("x")), str)
    assert_type(await aio.rpc("id", unregistered_workflow, 1), bytes)
    assert_type(await aio.rpc("id", func="by_name", arg=1), Any)
    assert_type(await aio.get("id", type=Order), Handle[Order])
    assert_type(await aio.get("id"), Handle[Any])
    assert_type(await aio.cancel("id"), None)
    assert_type(await aio.schedule("s", "* * * * *", plain, 1), AsyncSchedule)
    assert_type(await aio.pending_versions("plain"), dict[int, int])
    assert_type(await aio.promises.create("p", expires_in=5), PromiseRecord[Any])
    assert_type(await aio.promises.get("p", type=Order), PromiseRecord[Order])
    assert_type(await aio.promises.get("p"), PromiseRecord[Any])
    assert_type(await aio.promises.resolve("p", 1), PromiseRecord[Any])
    assert_type(await aio.promises.reject("p", "no"), PromiseRecord[Any])
    assert_type(await aio.promises.cancel("p", tree=True), PromiseRecord[Any])
    assert_type(await aio.promises.search(state="pending", limit=5), Sequence[PromiseRecord[Any]])
    assert_type(await aio.schedules.create("s", "* * * * *", replace=True), AsyncSchedule)
    assert_type(await aio.schedules.get("s"), AsyncSchedule)
    assert_type(await aio.schedules.delete("s"), None)
    assert_type(await aio.schedules.search(limit=5), Sequence[AsyncSchedule])
    assert_type(await aio.stop(), None)
    async with client as entered:
        assert_type(entered, Resonate)

    await aio.run("id", plain, "1")  # pyright: ignore[reportCallIssue, reportArgumentType]
    await aio.rpc("id", unregistered)  # pyright: ignore[reportCallIssue]


# Everything else that a context has


def uses_a_context(ctx: Context) -> Workflow[None]:
    assert_type(ctx.id, str)
    assert_type(ctx.info, Info)
    assert_type((ctx.info.attempt, ctx.info.timeout, ctx.info.replaying), tuple[int, float, bool])
    assert_type(ctx.canceled, bool)
    assert_type(ctx.logger, LoggerAdapter[Logger])
    assert_type(ctx.rng, random.Random)
    assert_type(ctx.uuid(), UUID)
    assert_type(ctx.options(target="g", retry_policy=Exponential(1)), Context)
    assert_type(ctx.sleep(timedelta(days=1)), Call[None])
    assert_type(ctx.sleep(until=datetime(2026, 1, 1, tzinfo=UTC)), Call[None])
    assert_type((yield from ctx.typesafe(ctx.run(plain, 1))), Order)
    assert_type((yield from ctx.random.random()), float)
    assert_type((yield from ctx.random.randint(1, 6)), int)
    assert_type((yield from ctx.random.randrange(10)), int)
    assert_type((yield from ctx.random.choice(["a"])), str)
    assert_type((yield from ctx.random.choices(["a"], k=2)), list[str])
    assert_type((yield from ctx.random.sample([1], 1)), list[int])
    assert_type((yield from ctx.random.getrandbits(8)), int)
    assert_type((yield from ctx.random.uniform(0, 1)), float)
    assert_type((yield from ctx.random.triangular(0, 1, 0.5)), float)
    assert_type((yield from ctx.random.betavariate(1, 2)), float)
    assert_type((yield from ctx.random.expovariate(1)), float)
    assert_type((yield from ctx.time.time()), float)
    assert_type((yield from ctx.time.strftime("%Y")), str)
    assert_type((yield from ctx.time.now()), datetime)
    assert_type((yield from ctx.lfi(plain, 1)), Promise[Order])
    assert_type((yield from ctx.rfc(plain, 1)), Order)
    assert_type(ctx.get_dependency("order", default=1), Any)
    assert_type(current(), Context)
    assert_type(current_or_none(), Context | None)

    promise = yield from ctx.begin_run(plain, 1)
    assert_type(promise.id, str)
    assert_type(promise.done(), bool)
    assert_type((yield from promise.cancel()), None)
    assert_type((yield from Promise[int]("known")), int)

    ctx.sleep("5")  # pyright: ignore[reportArgumentType]
    ctx.random.randint("1", 6)  # pyright: ignore[reportArgumentType]
    ctx.detached(plain, "1")  # pyright: ignore[reportArgumentType, reportCallIssue]


async def combines(ctx: Context) -> None:
    one, two = ctx.run(plain, 1), ctx.rpc(workflow, 1)
    assert_type(await ctx.all(one), tuple[Order])
    assert_type(await ctx.all(one, two, one), tuple[Order, float, Order])
    assert_type(await ctx.all(one, two, one, two), tuple[Order, float, Order, float])
    assert_type(await ctx.all_settled([one]), list[Settled[Order]])
    assert_type((await ctx.all_settled([one]))[0].result(), Order)
    assert_type(await ctx.race([one], losers="detach"), Won[Order])
    assert_type(await ctx.any([one], losers="join"), Won[Order])
    assert_type((await ctx.any([one])).index, int)

    await ctx.race([one], losers="kill")  # pyright: ignore[reportArgumentType]
    await ctx.all(1)  # pyright: ignore[reportArgumentType, reportCallIssue]


# Tools


def tests_and_looks(client: Resonate) -> None:
    env = Environment(seed=1, start="2026-01-01T00:00Z", always_replay=True)
    assert_type(env.worker("g", register=[plain, fake(workflow, returns=1.0)]), Process)
    assert_type(env.client("g"), Resonate)
    assert_type(env.run_until_idle(), None)
    assert_type(env.advance(days=1, hours=2), None)
    assert_type(env.tree("id"), str)
    assert_type(env.history("id"), History)
    assert_type(explore(plain, args=[1], crashes=1), Exploration)
    assert_type(inline(plain, 1, answers={"bar": 2}), Any)
    assert_type(fake("by_name", raises=ValueError), Fake)
    assert_type(history(client, "id"), History)
    assert_type(replay(client, "id", plain, break_at="id.1"), Report)
    assert_type(tree(history(client, "id")), str)
    assert_type(explain(client, "id"), str)
    assert_type(Codec().decode(Codec().encode(1), int), Any)
