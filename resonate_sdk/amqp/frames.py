"""Frames of messages, made once and written together."""

# aiormq leaves open what its futures and queues hold.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
from functools import lru_cache

import pamqp.frame
from aiormq.abc import AbstractConnection, ChannelFrame
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

FRAME_OVERHEAD_BYTES = 8


def message_frames(
    channel: int,
    *,
    exchange: str,
    routing_key: str,
    mandatory: bool,
    properties: commands.Basic.Properties,
    body: bytes,
    frame_bytes_max: int,
) -> bytes:
    """Marshal a message for one channel."""
    header = ContentHeader(body_size=len(body), properties=properties)
    parts = [
        _publish_frame(channel, exchange, routing_key, mandatory),
        pamqp.frame.marshal(header, channel),
    ]
    part_bytes = frame_bytes_max - FRAME_OVERHEAD_BYTES
    for start in range(0, len(body), part_bytes):
        part = ContentBody(body[start : start + part_bytes])
        parts.append(pamqp.frame.marshal(part, channel))
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _publish_frame(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    frame = commands.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return pamqp.frame.marshal(frame, channel)


def ack_frame(channel: int, delivery_tag: int, *, multiple: bool) -> bytes:
    """Marshal an acknowledgement."""
    return pamqp.frame.marshal(
        commands.Basic.Ack(delivery_tag=delivery_tag, multiple=multiple), channel
    )


def reject_frame(channel: int, delivery_tag: int, *, requeue: bool) -> bytes:
    """Marshal a rejection."""
    return pamqp.frame.marshal(
        commands.Basic.Reject(delivery_tag=delivery_tag, requeue=requeue), channel
    )


class FrameWriter:
    """Writes frames to one connection: what gathers while one write is under way is the next."""

    def __init__(self, connection: AbstractConnection) -> None:
        """Write to a connection; `run` does it."""
        self._connection = connection
        self._waiting: list[bytes] = []
        self._is_waiting = asyncio.Event()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self.waiting_bytes = 0

    def write(self, frames: bytes) -> None:
        """Write frames soon, in order."""
        self._waiting.append(frames)
        self.waiting_bytes += len(frames)
        self._is_waiting.set()
        self._is_empty.clear()

    async def run(self) -> None:
        """Write until cancelled; waits while the broker does not read."""
        while True:
            await self._is_waiting.wait()
            self._is_waiting.clear()
            payload, self._waiting = b"".join(self._waiting), []
            drained = asyncio.get_running_loop().create_future()
            await self._connection.write_queue.put(
                ChannelFrame(payload=payload, should_close=False, drain_future=drained)
            )
            await drained
            self.waiting_bytes -= len(payload)
            if not self._waiting:
                self._is_empty.set()

    async def flush(self) -> None:
        """Wait until everything has been handed to the operating system."""
        await self._is_empty.wait()
