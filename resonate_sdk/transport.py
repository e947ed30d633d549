"""What the SDK needs from the wire: requests with answers, hints for work, news of promises."""

import asyncio
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from resonate_sdk.protocol.messages import Hint
from resonate_sdk.protocol.records import PromiseRecord
from resonate_sdk.protocol.requests import Request, TaskReport
from resonate_sdk.protocol.responses import Answer


class Arrival(Struct, frozen=True, kw_only=True):
    """What a transport knows about the way of a hint.

    Attributes:
        is_redelivered: whether somebody has, perhaps, had it before.
        is_dead_lettered: whether it was meant for somebody else, who did not take it.
        server_now_ms: the server's clock when the hint got its slot, estimated, epoch ms; None if
            that is not known.
    """

    is_redelivered: bool = False
    is_dead_lettered: bool = False
    server_now_ms: int | None = None


class Slot(Protocol):
    """The place in this process that a hint takes up while its execution runs."""

    @property
    def arrival(self) -> Arrival:
        """How the hint has come."""
        ...

    def answered(self) -> None:
        """The server has answered the attempt to acquire the task: the hint is used up."""
        ...

    def free(self) -> None:
        """The execution has left; another one may come."""
        ...


class Receiver(Protocol):
    """Takes what arrives unasked; called on the event loop, must not block."""

    def on_hint(self, hint: Hint, slot: Slot) -> None:
        """A task may be acquired, and there is room for it."""
        ...

    def on_notify(self, promise: PromiseRecord) -> None:
        """A promise that this process listens to has settled."""
        ...

    def on_reconnect(self) -> None:
        """The connection is new: news may have been lost."""
        ...

    def on_broken(self, error: Exception) -> None:
        """The server will never answer or send anything again."""
        ...


class Transport(Protocol):
    """The way to one server. Everything is called on one event loop."""

    async def run(self, receiver: Receiver) -> None:
        """Be connected until stopped; requests wait until there is a connection."""
        ...

    async def subscribe(self, slots: int) -> None:
        """Take hints for the group of this process, up to `slots` executions at a time."""
        ...

    async def unsubscribe(self) -> None:
        """Take no more hints."""
        ...

    def request(
        self,
        request: Request,
        *,
        origin: str | None = None,
        chain: str | None = None,
        timeout_s: float | None = ...,
    ) -> "asyncio.Future[Answer]":
        """Send a request.

        Args:
            request: what is asked for.
            origin: root of the tree it belongs to, which decides its partition; by default what
                the request names.
            chain: requests handed in without a pause in between and with the same chain depend
                on each other: after the first failure the rest is not attempted.
            timeout_s: how long to wait for the answer, 10 s by default; None until the stop.

        Returns:
            The answer; or a `TransportError` if none came in time.
        """
        ...

    async def stop(self) -> None:
        """Send what is waiting, if that is possible at once, and disconnect."""
        ...


class Condition(Struct, frozen=True, kw_only=True):
    """How the way to a server is.

    Attributes:
        trouble: why no server can be asked; None if one answers.
        is_taking: whether hints of the group arrive here, as far as there are slots for them.
        slots: how many executions may be under way.
        in_flight: how many are.
        unanswered: requests that have no answer yet.
        sessions: how often there was a connection.
    """

    trouble: str | None
    is_taking: bool
    slots: int
    in_flight: int
    unanswered: int
    sessions: int


@runtime_checkable
class ObservableTransport(Protocol):
    """A way to a server that may break."""

    def condition(self) -> Condition:
        """How it is now."""
        ...


@runtime_checkable
class ReportingTransport(Protocol):
    """The way to a server of which others than this process ask what goes on."""

    def report(self, report: TaskReport, *, origin: str) -> None:
        """Tell of trouble, once: nobody waits for an answer."""
        ...


@runtime_checkable
class ImmediateTransport(Protocol):
    """The way to a server inside this process, which need not wait for its answers."""

    def answer_at_once(self, requests: Sequence[Request]) -> Sequence[Answer]:
        """Have requests carried out, in order, on the calling thread; any thread may call."""
        ...
