"""A worker that stops takes no more hints, whatever its consumers were just doing."""

import asyncio
from typing import Any

from resonate_sdk.amqp.capacity import Consume
from resonate_sdk.amqp.subscription import Subscription
from resonate_sdk.protocol.topology import Names


class Consumer:
    """Stands for one of a broker that takes its time to answer."""

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()
        self.may_start = asyncio.Event()
        self.is_consuming = False

    async def start(self, prefetch: int) -> None:
        self.is_asked.set()
        await self.may_start.wait()
        self.is_consuming = True

    async def stop(self) -> None:
        self.is_consuming = False


async def test_a_consumer_that_is_just_being_started_when_the_worker_stops_is_stopped_as_well():
    anything: Any = object()
    subscription = Subscription(Names("n"), "g", "me", 1, anything, lambda: None)
    shared: Any = Consumer()
    sticky: Any = Consumer()
    subscription._session, subscription._shared, subscription._sticky = anything, shared, sticky

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(subscription._change(shared, Consume(1)))
        await shared.is_asked.wait()
        await subscription.end()
        shared.may_start.set()

    assert not shared.is_consuming
    await subscription._change(shared, Consume(1))  # asked for before, and begun only now
    assert not shared.is_consuming
