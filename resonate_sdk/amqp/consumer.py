"""Consuming: one channel per queue, acknowledgements many at a time."""

# aiormq leaves open what its futures and queues hold.
# pyright: reportUnknownMemberType=false

import asyncio
from collections.abc import Callable

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from resonate_sdk.amqp.frames import ack_frame, reject_frame
from resonate_sdk.amqp.splitter import Delivery, Event
from resonate_sdk.amqp.wire import Wire


class Consumer:
    """Takes the messages of one queue; nothing is acknowledged by itself."""

    def __init__(
        self,
        channel: Channel,
        wire: Wire,
        queue: str,
        on_delivery: Callable[["Consumer", Delivery], None],
    ) -> None:
        """Consume on a channel of its own, whose connection has this wire."""
        self.queue = queue
        self._channel = channel
        self._wire = wire
        self._on_delivery = on_delivery
        self._tag: str | None = None
        self._open: dict[int, bool] = {}  # by tag, oldest first: whether it is acknowledged
        self._is_flush_scheduled = False
        self._needs_acks = True
        wire.take_over(channel.number, self._received)

    async def start(self, prefetch: int | None) -> None:
        """Take messages, up to `prefetch` unacknowledged; None: they need no acknowledgement."""
        assert self._tag is None, "it consumes already"
        self._needs_acks = prefetch is not None
        if prefetch is not None:
            await self._channel.basic_qos(prefetch_count=prefetch)
        started = await self._channel.basic_consume(self.queue, _elsewhere, no_ack=prefetch is None)
        self._tag = started.consumer_tag

    async def stop(self) -> None:
        """Take no more; returns when the last message that was under way has arrived."""
        tag, self._tag = self._tag, None
        if tag is not None:
            await self._channel.basic_cancel(tag)

    def ack(self, tag: int) -> None:
        """Acknowledge a message; those of one turn of the loop travel together."""
        if tag in self._open:
            self._open[tag] = True
            if not self._is_flush_scheduled:
                self._is_flush_scheduled = True
                asyncio.get_running_loop().call_soon(self.flush)

    def reject(self, tag: int, *, requeue: bool) -> None:
        """Give a message back, or let it go to the dead letters."""
        if self._open.pop(tag, None) is not None:
            self._wire.write(reject_frame(self._channel.number, tag, requeue=requeue))

    def flush(self) -> None:
        """Write the acknowledgements that wait: of all before the first open message in one."""
        self._is_flush_scheduled = False
        last: int | None = None
        while self._open:
            tag = next(iter(self._open))
            if not self._open[tag]:
                break
            del self._open[tag]
            last = tag
        if last is not None:
            self._write_ack(last, multiple=True)
        for tag in [tag for tag, is_acknowledged in self._open.items() if is_acknowledged]:
            del self._open[tag]
            self._write_ack(tag, multiple=False)

    def _write_ack(self, tag: int, *, multiple: bool) -> None:
        self._wire.write(ack_frame(self._channel.number, tag, multiple=multiple))

    def _received(self, event: Event) -> None:
        assert isinstance(event, Delivery), "nothing is published on this channel"
        if self._needs_acks:
            self._open[event.tag] = False
        self._on_delivery(self, event)


async def _elsewhere(_: DeliveredMessage) -> None:
    raise AssertionError("the wire takes all messages of this channel")
