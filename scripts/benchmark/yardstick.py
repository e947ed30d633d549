"""How fast this machine is just now: plain aio-pika, one confirmed message after the other.

Machines are shared and noisy. What W1 reaches means little by itself; beside this it can be compared
with another machine, or another day.
"""

import asyncio
import time

import aio_pika

from scripts.benchmark.rows import Timing

BODY = b"x" * 200
QUEUE = "bench-yardstick"


def publish(url: str, in_flight: int, seconds: float) -> Timing:
    """Publish persistent messages to a durable queue, `in_flight` unconfirmed at a time."""
    return asyncio.run(_publish(url, in_flight, seconds))


async def _publish(url: str, in_flight: int, seconds: float) -> Timing:
    latencies_ms: list[float] = []
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(QUEUE, durable=True, arguments={"x-max-length": 1})
        begun_at = time.perf_counter()

        async def publish_on() -> None:
            while (started_at := time.perf_counter()) - begun_at < seconds:
                message = aio_pika.Message(BODY, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                await channel.default_exchange.publish(message, QUEUE)
                latencies_ms.append((time.perf_counter() - started_at) * 1000)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(publish_on())
        elapsed = time.perf_counter() - begun_at
        await channel.queue_delete(QUEUE)
    return Timing(elapsed, latencies_ms, len(latencies_ms))
