"""A connection of aio-pika's on which messages and confirms are read and written by us.

The library connects, declares and closes; it sees a stream from which our frames are missing, and
writes its own between ours.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import aio_pika
from aiormq.connection import SSLContextProvider, TransportFactory
from yarl import URL

from resonate_sdk.amqp.frames import HEARTBEAT_FRAME
from resonate_sdk.amqp.splitter import BrokenStreamError, Event, FrameSplitter

logger = logging.getLogger(__name__)

SIGN_OF_LIFE_S = 1.0

Receive = Callable[[Event], None]


class Wire(asyncio.StreamReaderProtocol):
    """The socket of one connection."""

    def __init__(self) -> None:
        """Wait for the connection."""
        self._loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader(loop=self._loop)
        super().__init__(self.reader, loop=self._loop)
        self._splitter = FrameSplitter()
        self._receivers: dict[int, Receive] = {}
        self._transport: asyncio.Transport | None = None
        self._fed_at_s = 0.0
        self._waiting: list[bytes] = []
        self._held_bytes = 0
        self._is_scheduled = False
        self._may_write = asyncio.Event()
        self._may_write.set()

    def take_over(self, channel: int, receive: Receive) -> None:
        """From now on messages and confirms of a channel go to `receive`, which must not raise."""
        self._splitter.take_over(channel)
        self._receivers[channel] = receive

    def write(self, frames: bytes) -> None:
        """Write whole frames soon, in order: what comes in one turn of the loop is one write."""
        self._waiting.append(frames)
        self._held_bytes += len(frames)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._write)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the operating system has not taken yet."""
        if self._transport is None:
            return self._held_bytes
        return self._held_bytes + self._transport.get_write_buffer_size()

    async def flush(self) -> None:
        """Wait until the broker reads, and hand over what waits."""
        await self._may_write.wait()
        self._write()

    def _write(self) -> None:
        self._is_scheduled = False
        if not self._waiting or self._transport is None or not self._may_write.is_set():
            return  # what is held is written when the broker reads again, or never
        payload, self._waiting, self._held_bytes = b"".join(self._waiting), [], 0
        if not self._transport.is_closing():
            self._transport.write(payload)

    def use(self, transport: asyncio.Transport) -> None:
        """The socket is open; the other side says nothing before we do."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Something has arrived."""
        try:
            others = self._splitter.feed(data)
        except BrokenStreamError as error:
            assert self._transport is not None, "what has a socket receives"
            logger.warning("what the broker sent could not be read reason=%s", error)
            self._transport.abort()
            return
        for channel, event in self._splitter.take_events():
            self._receivers[channel](event)
        # The library counts what it sees: without it, a busy broker would look dead.
        now_s = self._loop.time()
        if not others and now_s - self._fed_at_s > SIGN_OF_LIFE_S:
            others = HEARTBEAT_FRAME
        if others:
            self._fed_at_s = now_s
            super().data_received(others)

    def pause_writing(self) -> None:
        """The broker does not read."""
        self._may_write.clear()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._may_write.set()
        self._write()


class _Opener(TransportFactory):
    """Opens sockets the way the library does, but for who listens."""

    def __init__(self) -> None:
        self.wire: Wire | None = None

    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        provider = kwargs.pop("ssl_context_provider")
        assert isinstance(provider, SSLContextProvider), "the library brings it along"
        ssl = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        transport, wire = await loop.create_connection(
            Wire, url.host or "", url.port or 0, ssl=ssl, **kwargs
        )
        wire.use(transport)
        self.wire = wire
        return wire.reader, asyncio.StreamWriter(transport, wire, wire.reader, loop)


async def connect(url: URL, *, name: str) -> tuple[aio_pika.abc.AbstractConnection, Wire]:
    """Connect to a broker.

    Args:
        url: of the broker.
        name: shown to operators.
    """
    opener = _Opener()
    connection = aio_pika.Connection(url, client_properties={"connection_name": name})
    connection.kwargs["transport_factory"] = opener
    try:
        await connection.connect()
    except BaseException:
        await connection.close()  # which waits for nothing; else the library complains, later
        raise
    assert opener.wire is not None, "who is connected has a socket"
    return connection, opener.wire
