"""A consumer of a RabbitMQ queue of your own: each message becomes an execution, once.

    python -m resonate_sdk.examples.queue_worker [QUEUE]

RESONATE_URL names the broker and a server runs on it. Send messages with a message id to QUEUE
(`records` by default); what was deleted is announced in the queue QUEUE.deleted.

A message is acknowledged when its promise exists, and not before: a consumer that dies in between
gets it again, and attaches to the execution of the same id. What is announced twice, after a crash
at the wrong moment, has the same message id.
"""

import asyncio
import os
import sys

from aio_pika import Message, connect
from aio_pika.abc import AbstractChannel

from resonate_sdk import Context, Resonate

PREFETCH = 10
LEASE_S = 5  # after so long, another consumer goes on with what a dead one has begun


async def delete_batch(ctx: Context, record: str, batch: int) -> bool:
    """Delete some of what belongs to a record; true when nothing is left."""
    return batch >= 2


async def announce(ctx: Context, record: str, queue: str) -> None:
    """Publish with a confirm: a step that returns has reached the broker."""
    channel: AbstractChannel = ctx.get_dependency("channel")
    message = Message(record.encode(), message_id=ctx.id)
    await channel.default_exchange.publish(message, queue, mandatory=True)


async def delete_record(ctx: Context, record: str, queue: str) -> str:
    """Delete batch by batch, with a durable pause between, then announce it."""
    for batch in range(100):
        if await ctx.run(delete_batch, record, batch):
            break
        await ctx.sleep(0.05)
    await ctx.run(announce, record, queue)
    return f"{record} is deleted"


async def consume(name: str) -> None:
    """Turn messages into executions until the program is ended."""
    connection = await connect(os.environ["RESONATE_URL"])
    async with connection, await connection.channel() as channel:
        await channel.set_qos(PREFETCH)
        queue = await channel.declare_queue(name, durable=True)
        await channel.declare_queue(f"{name}.deleted", durable=True)
        resonate = Resonate(group=f"{name}-worker", ttl=LEASE_S, dependencies={"channel": channel})
        function = resonate.register(delete_record)
        try:
            async with queue.iterator() as messages:
                async for message in messages:
                    id = f"delete-{message.message_id}"
                    handle = function.begin_run(id, message.body.decode(), f"{name}.deleted")
                    await asyncio.to_thread(handle.created)
                    await message.ack()
        finally:
            await resonate.aio.stop()


if __name__ == "__main__":
    asyncio.run(consume(*(sys.argv[1:] or ["records"])))
