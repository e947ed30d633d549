"""A proxy that loses a connection to PostgreSQL around a commit."""

import asyncio
from collections.abc import Callable
from typing import Literal, Self
from urllib.parse import urlsplit

COMMIT = b"commit and chain\0"
CHUNK_BYTES = 65_536

Loss = Literal["nothing", "the request", "the answer", "the client", "silence"]


class LossyProxy:
    """Passes everything on, until it meets a COMMIT.

    What it loses then, once: the request, with both connections; the answer, with the connection
    of the client; or the client alone, with the request, while the server goes on waiting for it. After
    silence everybody still waits: the request has arrived, and no answer comes back.
    """

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self.loses: Loss = "nothing"
        self.on_loss: Callable[[], None] = lambda: None
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for writer in self._writers:
            writer.transport.abort()

    @property
    def url(self) -> str:
        """What clients of the proxy connect to."""
        host, port = self._listener.sockets[0].getsockname()
        user = self._server.netloc.rpartition("@")[0]
        return self._server._replace(netloc=f"{user}@{host}:{port}").geturl()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._server.hostname is not None
        try:
            server = await asyncio.open_connection(self._server.hostname, self._server.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, server[1]]
        async with asyncio.TaskGroup() as group:
            answers = group.create_task(self._pass_on(server[0], writer))
            await self._pass_requests(reader, writer, *server, answers)
            answers.cancel()

    async def _pass_requests(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        answers: asyncio.Task[None],
    ) -> None:
        while chunk := await _read(client):
            if COMMIT not in chunk or self.loses == "nothing":
                to_server.write(chunk)
                continue
            loses, self.loses = self.loses, "nothing"
            if loses == "silence":
                answers.cancel()
                to_server.write(chunk)
                continue
            if loses == "the answer":
                answers.cancel()
                await asyncio.wait([answers])
                to_server.write(chunk)
                await server.read(CHUNK_BYTES)
            if loses == "the request":
                to_server.transport.abort()
            self.on_loss()
            to_client.transport.abort()
            return
        to_server.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await _read(reader):
            writer.write(chunk)
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(CHUNK_BYTES)
    except ConnectionError:
        return b""
