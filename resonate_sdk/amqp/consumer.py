"""Consuming: one channel per queue, acknowledgements many at a time."""

from collections.abc import Callable, Mapping
from typing import Any

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from msgspec import Struct

from resonate_sdk.amqp.frames import FrameWriter, ack_frame, reject_frame


class Delivery(Struct, frozen=True, kw_only=True):
    """A message that has arrived.

    Attributes:
        tag: names it on its channel.
        is_redelivered: whether it has, perhaps, arrived before.
        routing_key: what it was published with.
        user_id: who published it, verified by the broker.
    """

    tag: int
    body: bytes
    is_redelivered: bool
    exchange: str
    routing_key: str
    kind: str | None
    correlation_id: str | None
    reply_to: str | None
    message_id: str | None
    user_id: str | None
    headers: Mapping[str, Any]


class Consumer:
    """Takes the messages of one queue; nothing is acknowledged by itself."""

    def __init__(
        self,
        channel: Channel,
        writer: FrameWriter,
        queue: str,
        on_delivery: Callable[["Consumer", Delivery], None],
    ) -> None:
        """Consume on a channel of its own; acknowledge through the writer of its connection."""
        self.queue = queue
        self._channel = channel
        self._writer = writer
        self._on_delivery = on_delivery
        self._tag: str | None = None

    async def start(self, prefetch: int | None) -> None:
        """Take messages, up to `prefetch` unacknowledged; None: they need no acknowledgement."""
        assert self._tag is None, "it consumes already"
        if prefetch is not None:
            await self._channel.basic_qos(prefetch_count=prefetch)
        started = await self._channel.basic_consume(
            self.queue, self._delivered, no_ack=prefetch is None
        )
        self._tag = started.consumer_tag

    async def stop(self) -> None:
        """Take no more; returns when the last message that was under way has arrived."""
        tag, self._tag = self._tag, None
        if tag is not None:
            await self._channel.basic_cancel(tag)

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Acknowledge a message, and with `multiple` all before it."""
        self._writer.write(ack_frame(self._channel.number, tag, multiple=multiple))

    def reject(self, tag: int, *, requeue: bool) -> None:
        """Give a message back, or let it go to the dead letters."""
        self._writer.write(reject_frame(self._channel.number, tag, requeue=requeue))

    async def _delivered(self, message: DeliveredMessage) -> None:
        properties = message.header.properties
        assert message.delivery_tag is not None, "a delivery has a tag"
        self._on_delivery(
            self,
            Delivery(
                tag=message.delivery_tag,
                body=message.body,
                is_redelivered=bool(message.redelivered),
                exchange=message.exchange or "",
                routing_key=message.routing_key or "",
                kind=properties.message_type,
                correlation_id=properties.correlation_id,
                reply_to=properties.reply_to,
                message_id=properties.message_id,
                user_id=properties.user_id,
                headers=properties.headers or {},
            ),
        )
