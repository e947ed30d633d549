"""The connection of one process to the server of a test, which can be cut."""

import asyncio
from collections.abc import Callable
from typing import Literal

from msgspec import Struct, structs

from resonate_sdk.local import LocalServer, LocalTransport
from resonate_sdk.protocol.messages import Hint
from resonate_sdk.protocol.records import PromiseRecord
from resonate_sdk.protocol.requests import Request
from resonate_sdk.protocol.responses import Answer
from resonate_sdk.testing.journal import Entry, name_of
from resonate_sdk.transport import Receiver, Slot

Side = Literal["before", "after"]
Deliver = Callable[[Callable[[], None], Callable[[], None]], None]
"""Carries out a delivery, the first of both, or the loss of it."""


class Crash(Struct, frozen=True, kw_only=True):
    """Where a process is to die.

    Attributes:
        at: at the request of this name; None: at any.
        step: at the checkpoint of this number, counted from one; None: at any.
        side: before the request reaches the server, or after it was carried out.
    """

    at: str | None = None
    step: int | None = None
    side: Side = "before"


class TestTransport:
    """Like the way to a server inside a process, with a journal and a switch."""

    __test__ = False  # what it is called means nothing to pytest

    def __init__(
        self,
        server: LocalServer,
        group: str,
        pid: str,
        *,
        now_ms: Callable[[], int],
        journal: list[Entry],
        deliver: Deliver,
        on_crash: Callable[[], None],
    ) -> None:
        """Connect a process.

        Args:
            server: which one.
            group: whose hints it takes.
            pid: its name.
            now_ms: the clock, epoch ms.
            journal: takes each request down.
            deliver: carries out deliveries of messages: now, later, twice or never.
            on_crash: the process is to die at this very place.
        """
        self._inner = LocalTransport(server, group, pid)
        self._server = server
        self._pid = pid
        self._now_ms = now_ms
        self._journal = journal
        self._deliver = deliver
        self._on_crash = on_crash
        self._receiver: Receiver | None = None
        self._held_back: list[Callable[[], None]] = []
        self._slots = 0
        self._is_cut = False
        self.is_dead = False
        self.steps = 0
        self.crash: Crash | None = None

    def cut(self) -> None:
        """Let nothing through any more: the server sees that the process has gone."""
        self._is_cut = True
        self._server.broker.detach(self._pid)

    async def mend(self) -> None:
        """Let through what was sent meanwhile; messages were lost."""
        self._is_cut = False
        self._inner.attach()
        if self._slots:
            await self._inner.subscribe(self._slots)
        held_back, self._held_back = self._held_back, []
        for send in held_back:
            send()
        if self._receiver is not None:
            self._receiver.on_reconnect()

    def die(self) -> None:
        """Send nothing any more, and get nothing."""
        self.is_dead = True
        self._server.broker.detach(self._pid)
        self._server.discard(self._inner)

    async def run(self, receiver: Receiver) -> None:
        """Be connected until stopped."""
        self._receiver = receiver
        await self._inner.run(self)

    async def subscribe(self, slots: int) -> None:
        """Take hints for the group of this process."""
        self._slots = slots
        await self._inner.subscribe(slots)

    async def unsubscribe(self) -> None:
        """Take no more hints."""
        await self._inner.unsubscribe()

    async def stop(self) -> None:
        """Detach from the server."""
        if not self.is_dead:
            await self._inner.stop()

    def request(
        self,
        request: Request,
        *,
        origin: str | None = None,
        chain: str | None = None,
        timeout_s: float | None = None,
    ) -> "asyncio.Future[Answer]":
        """Send a request, unless the process dies over it."""
        answering: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self._is_cut:
            self._held_back.append(lambda: self._send(request, chain, answering))
        else:
            self._send(request, chain, answering)
        return answering

    def on_hint(self, hint: Hint, slot: Slot) -> None:
        """A task may be acquired."""
        self._receive(lambda receiver: receiver.on_hint(hint, slot), slot.free)

    def on_notify(self, promise: PromiseRecord) -> None:
        """A promise that this process listens to has settled."""
        self._receive(lambda receiver: receiver.on_notify(promise), _nothing)

    def on_reconnect(self) -> None:
        """The connection is new."""

    def on_broken(self, error: Exception) -> None:
        """The server will never answer or send anything again."""
        assert self._receiver is not None, "only a transport that runs is told"
        self._receiver.on_broken(error)

    def _receive(self, take: Callable[[Receiver], None], on_lost: Callable[[], None]) -> None:
        def deliver() -> None:
            if self._is_cut:
                on_lost()
            elif not self.is_dead and self._receiver is not None:
                take(self._receiver)

        self._deliver(deliver, on_lost)

    def _send(
        self, request: Request, chain: str | None, answering: "asyncio.Future[Answer]"
    ) -> None:
        if self.is_dead:
            return
        index, entry = len(self._journal), self._entry(request)
        self._journal.append(entry)
        dies = entry.is_checkpoint and self._dies_at(entry)
        if dies == "before":
            self._die()
            return

        def answered(inner: "asyncio.Future[Answer]") -> None:
            self._journal[index] = structs.replace(entry, status=inner.result().status)
            if dies == "after":
                self._die()
            elif not self.is_dead and not answering.done():
                answering.set_result(inner.result())

        self._inner.request(request, chain=chain).add_done_callback(answered)

    def _entry(self, request: Request) -> Entry:
        return Entry(at_ms=self._now_ms(), pid=self._pid, what=name_of(request))

    def _dies_at(self, entry: Entry) -> Side | None:
        self.steps += 1
        crash = self.crash
        if crash is None:
            return None
        is_there = crash.at in (None, entry.what) and crash.step in (None, self.steps)
        return crash.side if is_there else None

    def _die(self) -> None:
        self.die()
        self._on_crash()


def _nothing() -> None:
    """Nobody minds."""
