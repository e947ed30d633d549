"""`async def` functions in a client: on the program's loop or on one of ours, never where I/O runs."""

import asyncio
import threading
from asyncio import gather  # noqa: TID251  # users write it

import pytest

from resonate_sdk import LocalServer, Resonate

WAIT_S = 30


def where(ctx=None):
    return threading.current_thread().name


async def where_awaiting(ctx):
    return where()


def plain(ctx, n):
    return n + 1


async def leaf(ctx, n):
    await asyncio.to_thread(int)  # waits for something that only its loop knows
    return n * 2


async def workflow(ctx, count):
    first = ctx.run(leaf, 1)
    gathered = await gather(*(ctx.run(plain, n) for n in range(count)))
    remote = await gather(*(ctx.rpc("leaf", n) for n in range(count)))
    await ctx.sleep(0.01)
    promise = await ctx.begin_rpc("leaf", 10)
    return [await first, gathered, remote, await promise]


def test_it_runs_on_a_loop_of_ours_that_does_no_io(resonate):
    resonate.register(where_awaiting)

    assert resonate.run("x", where_awaiting) == "resonate-async"


def test_it_runs_on_the_loop_of_the_program_that_uses_the_client(resonate):
    function = resonate.register(where_awaiting)

    async def main():
        async with asyncio.timeout(WAIT_S):
            return await function.begin_run("x")

    assert asyncio.run(main()) == where()


def test_when_the_loop_of_the_program_has_ended_another_is_used(server):
    async def first():
        client = Resonate.local(server=server)
        assert await client.register(where_awaiting).begin_run("x") == where()
        return client

    client = asyncio.run(first())

    assert client.run("y", where_awaiting) == "resonate-async"
    client.stop(5)


@pytest.mark.parametrize("count", [1, 20])
def test_a_workflow_waits_for_everything_in_every_way(resonate, count):
    resonate.register(leaf)
    function = resonate.register(workflow)

    expected = [2, [n + 1 for n in range(count)], [2 * n for n in range(count)], 20]
    assert function.run("x", count) == expected


def test_many_run_at_a_time_with_one_thread(make_client):
    resonate = make_client(workers=1)
    resonate.register(leaf)
    function = resonate.register(workflow)

    handles = [function.begin_run(f"x{n}", 2) for n in range(20)]

    assert [handle.result(WAIT_S)[0] for handle in handles] == [2] * 20


def test_a_body_that_blocks_its_loop_does_not_lose_its_lease(make_client, server):
    resonate = make_client(ttl=1)
    runs = []
    released = threading.Event()

    async def blocking(ctx):
        runs.append(ctx.id)
        released.wait(1.5)  # longer than a lease
        return "done"

    assert resonate.register(blocking).run("x") == "done"
    assert runs == ["x"]


def test_a_stop_waits_for_a_leaf_and_gives_a_waiting_workflow_back():
    server = LocalServer()
    resonate = Resonate.local(server=server)
    begun, go_on = threading.Event(), threading.Event()
    ended = []

    async def slow(ctx):
        begun.set()
        await asyncio.to_thread(go_on.wait, WAIT_S)
        ended.append(ctx.id)

    async def parent(ctx):
        await ctx.run(slow)
        await ctx.run(plain, 1)

    handle = resonate.register(parent).begin_run("x")
    assert begun.wait(WAIT_S)
    stopping = threading.Thread(target=resonate.stop)
    stopping.start()
    go_on.set()
    stopping.join(WAIT_S)

    assert ended == ["x.1"]
    assert handle.done()  # with the error that the client was stopped
    other = Resonate.local(server=server)
    other.register(parent)
    assert other.promises.get("x.1").resolved
    assert other.get("x").result(WAIT_S) is None
    other.stop(5)
    server.close()
