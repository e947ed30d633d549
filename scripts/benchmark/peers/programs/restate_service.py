"""The services of Restate, behind Hypercorn with HTTP/2."""

import asyncio
import sys

import hypercorn
import hypercorn.asyncio
import restate
import uvloop
from loops import ready

bench = restate.Service("bench")


@bench.handler()
async def noop(ctx: restate.Context, _: int) -> None:
    """Do nothing."""


@bench.handler()
async def child(ctx: restate.Context, _: int) -> int:
    """Do as good as nothing."""
    return 1


def one() -> int:
    """Do as good as nothing, in the process of the caller."""
    return 1


@bench.handler()
async def steps(ctx: restate.Context, count: int) -> int:
    """Take steps, one after the other."""
    taken = 0
    for number in range(count):
        taken += await ctx.run_typed(f"step {number}", one)
    return taken


@bench.handler()
async def fan_out(ctx: restate.Context, count: int) -> int:
    """Call as many children at the same time, and join them."""
    calls = [ctx.service_call(child, arg=0) for _ in range(count)]
    return sum([await call for call in calls])


@bench.handler()
async def fibonacci(ctx: restate.Context, n: int) -> int:
    """Call itself, twice."""
    if n < 2:
        return n
    first = ctx.service_call(fibonacci, arg=n - 1)
    other = ctx.service_call(fibonacci, arg=n - 2)
    return await first + await other


async def main() -> None:
    """Serve until it is ended."""
    config = hypercorn.Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.h2_max_concurrent_streams = 2_147_483_647
    config.keep_alive_max_requests = 2_147_483_647
    config.keep_alive_timeout = 2_147_483_647
    config.loglevel = "ERROR"
    ready()
    await hypercorn.asyncio.serve(restate.app([bench]), config)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
