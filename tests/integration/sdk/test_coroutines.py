"""Coroutines over RabbitMQ: they wait, suspend and are replayed as generators do."""

import asyncio
from asyncio import gather  # noqa: TID251  # users write it

import pytest

from resonate_sdk import CanceledError, Resonate
from tests.integration.amqp.server import ServerThread

WAIT_S = 40


async def leaf(ctx, n):
    await asyncio.to_thread(int)  # waits for something that only its loop knows
    return 2 * n


def plain(ctx, n):
    return n + 1


async def workflow(ctx, count):
    local = await gather(*(ctx.run(plain, n) for n in range(count)))
    remote = await gather(*(ctx.rpc("leaf", n) for n in range(count)))
    won = await ctx.race([ctx.sleep(0.05), ctx.promise(id="never")])
    answer = await (await ctx.promise(id="answer"))
    return [local, remote, won.index, answer]


@pytest.fixture
def client(server: ServerThread):
    config = server.config
    client = Resonate.remote(config.url, namespace=config.namespace, group="g")
    yield client
    client.stop(5)


def test_a_coroutine_waits_for_everything_in_every_way(client: Resonate):
    client.register(leaf)
    handle = client.register(workflow).begin_run("x", 3)
    client.promises.create("answer", expires_in=WAIT_S)
    client.promises.resolve("answer", "yes")

    assert handle.result(WAIT_S) == [[1, 2, 3], [0, 2, 4], 0, "yes"]


def test_a_canceled_execution_is_canceled_with_all_that_it_waits_for(client: Resonate):
    async def parent(ctx):
        return await ctx.rpc("child")

    async def child(ctx):
        return await (await ctx.promise())

    client.register(child)
    handle = client.register(parent).begin_run("x").created(WAIT_S)
    while not [record for record in client.promises.search() if record.id == "x.1.1"]:
        pass  # each look is a trip to the server

    handle.cancel()

    with pytest.raises(CanceledError):
        handle.result(WAIT_S)
    assert client.promises.get("x.1.1").canceled
