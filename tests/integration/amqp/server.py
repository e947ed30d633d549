"""A server in a thread of its own: it shares no event loop with the clients of a test."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from resonate_broker.app import Server
from resonate_broker.config import Config
from resonate_broker.kernel.submissions import Published
from resonate_store.postgres import PostgresStore

START_SECONDS_MAX = 20
END_SECONDS_MAX = 20


class ServerThread:
    """One life of a server, from `start` to `stop`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._stop = asyncio.Event()
        self._error: BaseException | None = None

    @property
    def server(self) -> Server:
        assert self._server is not None, "the server was started"
        return self._server

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive() and self._error is None

    def start(self) -> Self:
        """Return when it takes requests."""
        self._thread.start()
        assert self._is_ready.wait(START_SECONDS_MAX), "the server is not ready"
        self._raise()
        return self

    def stop(self) -> None:
        """End it in an orderly way."""
        if self._thread.is_alive() and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(END_SECONDS_MAX)
        assert not self._thread.is_alive(), "the server does not end"
        self._raise()

    def call(self, function: Callable[[], object]) -> None:
        """Run a function on the loop of the server, and wait for that."""
        self.run(_calling(function))

    def run(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine on the loop of the server, and wait for its end."""
        assert self._loop is not None, "the server was started"
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(END_SECONDS_MAX)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  # the test raises it
            self._error = error
        finally:
            self._is_ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        store = await PostgresStore.open(self.config.database_url, self.config.namespace)
        try:
            self._server = Server(self.config, store, await store.secret())
            await self._server.run(self._stop, self._is_ready.set)
        finally:
            await store.close()


class Gate:
    """Holds up an asynchronous function of a server until it is opened.

    Attributes:
        is_reached: whether it has been called.
        is_passed: whether a call has ended.
    """

    def __init__(self, server: ServerThread, owner: object, name: str) -> None:
        self.is_reached = threading.Event()
        self.is_passed = threading.Event()
        self._server = server
        self._is_open = asyncio.Event()
        function = getattr(owner, name)

        async def gated(*arguments: object, **keywords: object) -> object:
            self.is_reached.set()
            await self._is_open.wait()
            result = await function(*arguments, **keywords)
            self.is_passed.set()
            return result

        server.call(lambda: setattr(owner, name, gated))
        self._restore = lambda: setattr(owner, name, function)

    def open(self) -> None:
        self._server.call(self._is_open.set)

    def undo(self) -> None:
        """Put the function back where it was, for an owner that outlives the server."""
        self._server.call(self._restore)


def drop_messages(server: ServerThread) -> None:
    """From now on what the server sends unasked is lost."""
    messages = server.server._messages

    async def publish_nothing(_: object) -> Published:
        return Published(())

    server.call(lambda: setattr(messages, "publish", publish_nothing))


def lose_answers_and_acknowledgements(server: ServerThread) -> None:
    """From now on the server commits, but the broker and the clients do not hear of it."""
    api = server.server._api

    def lose(_: object) -> None: ...

    server.call(lambda: setattr(api, "flush", lose))
    server.call(lambda: setattr(api, "_done_one", lose))


async def _calling(function: Callable[[], object]) -> None:
    function()
