"""A wire on a socket of this machine, and at its other end a program that is no broker."""

import asyncio
import gc
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aio_pika
import pamqp.frame
import pytest
from pamqp import commands
from yarl import URL

from resonate_sdk.amqp.frames import HEARTBEAT_FRAME
from resonate_sdk.amqp.splitter import Confirm, Event
from resonate_sdk.amqp.wire import Wire, connect

CONFIRM = pamqp.frame.marshal(commands.Basic.Ack(7), 3)
PATIENCE_S = 10


class Ends:
    """Both ends of a connection."""

    def __init__(
        self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.wire = wire
        self.reader = reader
        self.writer = writer


@asynccontextmanager
async def connected() -> AsyncGenerator[Ends]:
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put((reader, writer))

    async with asyncio.timeout(PATIENCE_S):
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        transport, wire = await loop.create_connection(Wire, "127.0.0.1", port)
        wire.use(transport)
        reader, writer = await accepted.get()
        try:
            yield Ends(wire, reader, writer)
        finally:
            transport.abort()
            writer.close()
            server.close()


@pytest.mark.asyncio
async def test_what_is_written_in_one_turn_arrives_together_and_in_order() -> None:
    async with connected() as ends:
        for part in (b"a", b"b", b"c"):
            ends.wire.write(part)
        assert ends.wire.waiting_bytes == 3

        await ends.wire.flush()

        assert await ends.reader.readexactly(3) == b"abc"
        assert ends.wire.waiting_bytes == 0


@pytest.mark.asyncio
async def test_nothing_is_lost_while_the_other_side_does_not_read() -> None:
    async with connected() as ends:
        first, second = b"a" * 20_000_000, b"b" * 20_000_000  # more than systems buffer
        ends.wire.write(first)
        await ends.wire.flush()
        ends.wire.write(second)

        received = await ends.reader.readexactly(len(first + second))
        await ends.wire.flush()

        assert received == first + second
        assert ends.wire.waiting_bytes == 0


@pytest.mark.asyncio
async def test_a_busy_broker_looks_alive_to_the_library() -> None:
    async with connected() as ends:
        events: asyncio.Queue[Event] = asyncio.Queue()
        ends.wire.take_over(3, events.put_nowait)

        ends.writer.write(CONFIRM)

        assert await events.get() == Confirm(tag=7, multiple=False, is_taken=True)
        heartbeat = await ends.wire.reader.readexactly(len(HEARTBEAT_FRAME))
        assert heartbeat == HEARTBEAT_FRAME


@pytest.mark.asyncio
async def test_what_cannot_be_read_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as ends:
        ends.wire.take_over(3, lambda _: None)

        ends.writer.write(CONFIRM[:-1] + b"\x00")

        assert await ends.reader.read() == b""
        assert "what the broker sent could not be read" in caplog.text


async def test_an_attempt_that_fails_leaves_no_open_connection_behind():
    """Of one that is, the library complains when it is collected on another thread."""
    others = _connections()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(ConnectionError) as failed:
            await connect(URL(f"amqp://127.0.0.1:{nobody.getsockname()[1]}/"), name="")

    assert failed.value.__traceback__ is not None, "which keeps alive what there was"
    left = [one for one in _connections() if not any(one is other for other in others)]
    assert left, "what was looked for"
    assert all(connection.is_closed for connection in left)


def _connections() -> list[aio_pika.Connection]:
    return [one for one in gc.get_objects() if isinstance(one, aio_pika.Connection)]
