"""The client of Restate: calls its services through the HTTP ingress of the server."""

import asyncio
import os
from collections.abc import Callable
from importlib.metadata import version

import aiohttp
import uvloop
from loops import Round, serve, with_coroutines

INGRESS = os.environ["BENCH_INGRESS_URL"]
ADMIN = os.environ["BENCH_ADMIN_URL"]
SERVICE = os.environ["BENCH_SERVICE_URL"]
START_S_MAX = 60
RETRY_S = 0.2

WORKLOADS: dict[str, tuple[str, int]] = {
    "W1": ("noop", 0),
    "W2": ("steps", 10),
    "W3": ("fan_out", 100),
    "W4": ("fibonacci", 10),
}


async def register() -> str:
    """Tell the server where the services are, as soon as it serves; its version."""
    async with asyncio.timeout(START_S_MAX), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.post(f"{ADMIN}/deployments", json={"uri": SERVICE}) as answer:
                    if answer.ok:
                        break
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(RETRY_S)
        async with session.get(f"{ADMIN}/version") as answer:
            return (await answer.json())["version"]


async def calls(workload: str, in_flight: int, seconds: float) -> Round:
    """Measure one round."""
    name, arg = WORKLOADS[workload]
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector, raise_for_status=True) as session:

        async def call() -> None:
            async with session.post(f"{INGRESS}/bench/{name}", json=arg) as answer:
                await answer.read()

        return await with_coroutines(call, in_flight, seconds)


def measuring(runner: asyncio.Runner) -> Callable[[str, int, float], Round]:
    """Measure rounds on a loop."""
    return lambda workload, in_flight, seconds: runner.run(calls(workload, in_flight, seconds))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as its_loop:
        server = its_loop.run(register())
        serve(f"Restate {server}, SDK {version('restate-sdk')}", measuring(its_loop))
