"""A wire whose other end is the test."""

import asyncio
from collections.abc import Callable
from typing import Any

from resonate_sdk.errors import TransportError
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.records import EMPTY, PromiseRecord, TaskRecord
from resonate_sdk.protocol.requests import Request, TaskFence
from resonate_sdk.protocol.responses import (
    Answer,
    Fenced,
    InnerAnswer,
    InnerHead,
    PromiseData,
    TaskGranted,
)

NOT_ATTEMPTED = Answer(responses.CONFLICT, "not attempted")
Reaction = Answer | Exception | None


class Wire:
    """Implements the SDK's transport: requests are answered as the test says, or never.

    Attributes:
        sent: requests in the order of sending.
        chains: the chain of each, or None.
        sent_at_s: when, on the clock of the loop.
        react: called with each request; None leaves it unanswered.
    """

    def __init__(self, react: Callable[[Any], Reaction]) -> None:
        self.sent: list[Any] = []
        self.chains: list[str | None] = []
        self.sent_at_s: list[float] = []
        self._message: set[str] | None = None  # what is sent in this turn: its broken chains
        self.react = react
        self.unanswered: list[tuple[Request, asyncio.Future[Answer]]] = []

    def request(
        self,
        request: Request,
        *,
        chain: str | None = None,
        timeout_s: float | None = 10.0,
        **_: Any,
    ) -> "asyncio.Future[Answer]":
        loop = asyncio.get_running_loop()
        self.sent.append(request)
        self.chains.append(chain)
        self.sent_at_s.append(loop.time())
        future: asyncio.Future[Answer] = loop.create_future()
        if self._message is None:
            self._message = set()
            loop.call_soon(self._leave)
        loop.call_soon(self._answer, request, chain, self._message, future)
        if timeout_s is not None:
            loop.call_later(timeout_s, self._give_up, future)
        return future

    def _leave(self) -> None:
        self._message = None

    def _answer(
        self,
        request: Request,
        chain: str | None,
        broken: set[str],
        future: "asyncio.Future[Answer]",
    ) -> None:
        reaction = NOT_ATTEMPTED if chain in broken else self.react(request)
        if future.done():
            return
        if chain is not None and not (isinstance(reaction, Answer) and reaction.is_ok):
            broken.add(chain)
        match reaction:
            case None:
                self.unanswered.append((request, future))
            case Answer():
                future.set_result(reaction)
            case error:
                future.set_exception(error)

    def _give_up(self, future: "asyncio.Future[Answer]") -> None:
        if not future.done():
            future.set_exception(TransportError("no answer", may_be_carried_out=True))

    async def run(self, receiver: Any) -> None:
        pass

    start = run

    async def subscribe(self, slots: int) -> None:
        pass

    async def unsubscribe(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def of(self, kind: type[Request]) -> list[Any]:
        """What was sent of one kind."""
        return [request for request in self.sent if isinstance(request, kind)]


def make_record(id: str = "p", state: Any = "pending", **changes: Any) -> PromiseRecord:
    fields: dict[str, Any] = {
        "param": EMPTY,
        "value": EMPTY,
        "tags": {},
        "timeout_at_ms": 2**50,
        "created_at_ms": 0,
    }
    return PromiseRecord(id=id, state=state, **{**fields, **changes})


def promise(record: PromiseRecord) -> Answer:
    return Answer(responses.OK, PromiseData(promise=record))


def refusal(status: int, reason: str = "no") -> Answer:
    return Answer(status, reason)


def granted(
    record: PromiseRecord,
    version: int = 1,
    preload: Any = (),
    *,
    is_cut: bool = False,
    **task: Any,
) -> Answer:
    fields: dict[str, Any] = {"state": "acquired", "resumes": 0, "lease_ms": 15_000, "pid": "me"}
    return Answer(
        responses.OK,
        TaskGranted(
            task=TaskRecord(id=record.id, version=version, **{**fields, **task}),
            promise=record,
            preload=tuple(preload),
            preload_cut=is_cut,
        ),
    )


def fenced(request: TaskFence, record: PromiseRecord) -> Answer:
    return _inner(request, responses.OK, PromiseData(promise=record))


def fence_refusal(request: TaskFence, status: int, reason: str = "no") -> Answer:
    return _inner(request, status, reason)


def _inner(request: TaskFence, status: int, data: Any) -> Answer:
    head = InnerHead(status=status, version=limits.VERSION)
    kind = request.action.data.kind
    return Answer(
        responses.OK, Fenced(action=InnerAnswer(kind=kind, head=head, data=data), preload=())
    )
