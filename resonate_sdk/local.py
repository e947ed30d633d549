"""The way to a server inside this process."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from resonate_sdk.clock import now_ms
from resonate_sdk.errors import ResonateError, StoreError
from resonate_sdk.futures import overlook
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.coalescing import Ready, into_messages
from resonate_sdk.protocol.envelope import encode_request, join
from resonate_sdk.protocol.messages import Invoke, Message, Notify, Resume
from resonate_sdk.protocol.requests import Hello, Request, TaskReport
from resonate_sdk.protocol.responses import Answer
from resonate_sdk.transport import Arrival, Receiver

UNUSED = "0"  # answers come in the order of the requests, nobody looks at their ids


class LocalServer:
    """A server for the clients of this process: nothing to install, nothing to start.

    Several clients may share one. With a path, its promises survive the process.
    """

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        closes_with_client: bool = False,
        now_ms: Callable[[], int] = now_ms,
        ticks: bool = True,
    ) -> None:
        """Open a server.

        Args:
            path: a file for the promises; without it they are kept in memory.
            closes_with_client: whether the client that stops first stops the server, too.
            now_ms: the clock, epoch ms.
            ticks: whether time passes by itself; else `broker.tick()` says that it has.

        Raises:
            ResonateError: somebody has the file open, it cannot be used, or is not one of ours.
        """
        # Only local mode needs the server's code, and only here does the SDK know of it.
        from resonate_broker.embedded import EmbeddedBroker
        from resonate_store import store

        self._transports = set[LocalTransport]()
        try:
            self.broker: EmbeddedBroker = EmbeddedBroker(path, now_ms, self._broke_down)
        except store.StoreError as error:
            raise ResonateError(str(error)) from None  # it is all that the user needs
        self.closes_with_client = closes_with_client
        if ticks:
            self.broker.start()

    def close(self) -> None:
        """Stop the server and let its file go."""
        self.broker.close()

    def add(self, transport: "LocalTransport") -> None:
        """A client wants to know when the server has broken down."""
        self._transports.add(transport)

    def discard(self, transport: "LocalTransport") -> None:
        """It does not any more."""
        self._transports.discard(transport)

    def _broke_down(self, reason: str) -> None:
        for transport in tuple(self._transports):
            transport.broke_down(reason)


class LocalTransport:
    """Requests are carried out on the calling loop; messages come from whoever causes them."""

    def __init__(self, server: LocalServer, group: str, pid: str) -> None:
        """Connect a process to a server.

        Args:
            server: which one.
            group: whose hints it takes, once it subscribes.
            pid: its name.
        """
        self.server = server
        self._broker = server.broker
        self._group = group
        self._pid = pid
        self._ready: list[Ready[asyncio.Future[Answer]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._receiver: Receiver | None = None
        self._is_stopped = asyncio.Event()

    async def run(self, receiver: Receiver) -> None:
        """Be attached to the server until stopped."""
        self._loop = asyncio.get_running_loop()
        self._receiver = receiver
        self.attach()
        self.server.add(self)
        await self._is_stopped.wait()

    def attach(self) -> None:
        """Get messages for this process, but no hints."""
        self._broker.attach(self._pid, None, self._deliver)

    async def subscribe(self, slots: int) -> None:
        """Take hints for the group of this process."""
        self._broker.attach(self._pid, self._group, self._deliver)
        self._broker.add_credit(self._pid, slots)
        await self.request(Hello(pid=self._pid, group=self._group, slots=slots))

    async def unsubscribe(self) -> None:
        """Take no more hints."""
        self.attach()

    def request(
        self,
        request: Request,
        *,
        origin: str | None = None,
        chain: str | None = None,
        timeout_s: float | None = None,
    ) -> "asyncio.Future[Answer]":
        """Send a request; those of one turn of the loop share a batch. None waits for long."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if not self._ready:
            loop.call_soon(self._flush)
        self._ready.append(Ready(encode_request(request, UNUSED, chain), chain, future))
        return future

    def answer_at_once(self, requests: Sequence[Request]) -> Sequence[Answer]:
        """Have requests carried out, in order, on the calling thread; any thread may call.

        They are not encoded: what they hold is frozen, or was made for them alone.
        """
        if len(requests) <= limits.ENVELOPES_PER_MESSAGE_MAX:
            return self._broker.carry_out(requests)
        answers: list[Answer] = []
        for start in range(0, len(requests), limits.ENVELOPES_PER_MESSAGE_MAX):
            answers += self._broker.carry_out(
                requests[start : start + limits.ENVELOPES_PER_MESSAGE_MAX]
            )
        return answers

    def report(self, report: TaskReport, *, origin: str) -> None:
        """Tell of trouble, once: nobody waits for an answer."""
        self.request(report, origin=origin).add_done_callback(overlook)

    async def stop(self) -> None:
        """Detach from the server."""
        self._broker.detach(self._pid)
        self.server.discard(self)
        self._is_stopped.set()

    def broke_down(self, reason: str) -> None:
        """The server carries out nothing any more; any thread may say so."""
        assert self._loop is not None, "only a transport that runs is told"
        assert self._receiver is not None, "only a transport that runs is told"
        if not self._loop.is_closed():
            error = StoreError(reason, code=responses.INTERNAL)
            self._loop.call_soon_threadsafe(self._receiver.on_broken, error)

    def free(self) -> None:
        """One more hint can be taken."""
        self._broker.add_credit(self._pid, 1)

    def _flush(self) -> None:
        ready, self._ready = self._ready, []
        for message in into_messages(ready):
            body = join([item.encoded for item in message])
            self._broker.submit(body, partial(_answer, [item.ticket for item in message]))

    def _deliver(self, message: Message) -> None:
        assert self._loop is not None, "messages come after the start"
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._received, message)

    def _received(self, message: Message) -> None:
        assert self._receiver is not None, "messages come after the start"
        match message:
            case Invoke() | Resume():
                self._receiver.on_hint(message, _LocalSlot(self))
            case Notify(data=data):
                self._receiver.on_notify(data.promise)


class _LocalSlot:
    arrival = Arrival()

    def __init__(self, transport: LocalTransport) -> None:
        self._transport = transport

    def answered(self) -> None:
        pass

    def free(self) -> None:
        self._transport.free()


def _answer(
    futures: Sequence["asyncio.Future[Answer]"], answers: Sequence[tuple[str, Answer]]
) -> None:
    for future, (_, answer) in zip(futures, answers, strict=True):
        if not future.done():
            future.set_result(answer)
