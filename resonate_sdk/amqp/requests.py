"""Requests on their way: not sent yet, sent and not answered, to be sent again."""

import asyncio
import itertools
import logging
import random
from collections.abc import Sequence

from msgspec import Struct

from resonate_sdk.errors import TransportError
from resonate_sdk.protocol import envelope, limits, responses as statuses
from resonate_sdk.protocol.coalescing import Ready
from resonate_sdk.protocol.envelope import ReceivedResponse
from resonate_sdk.protocol.faults import UNREADABLE
from resonate_sdk.protocol.requests import UNVERSIONED, Request
from resonate_sdk.protocol.responses import Answer

logger = logging.getLogger(__name__)

ASK_AGAIN_S = 30.0  # without an answer, then after twice as long, and so on
ASK_AGAIN_S_MAX = 240.0
ARRAY_BYTES = 2  # of the array that every request travels in


class Ticket:
    """One request until it is answered.

    Attributes:
        deadline_s: when to give up, on the clock of the loop; None for never.
        was_published: whether the broker may have it.
        is_sent_once: whether it is of no use in another session.
        asked_at_s: when it was published last, on the clock of the loop.
        patience_s: how long to wait for an answer before it is asked again.
    """

    __slots__ = (
        "answer",
        "asked_at_s",
        "deadline_s",
        "id",
        "is_sent_once",
        "kind",
        "origin",
        "patience_s",
        "was_published",
    )

    def __init__(
        self,
        id: str,
        kind: str,
        origin: str,
        answer: "asyncio.Future[Answer]",
        deadline_s: float | None,
    ) -> None:
        """A request that has not been sent."""
        self.id = id
        self.kind = kind
        self.origin = origin
        self.answer = answer
        self.deadline_s = deadline_s
        self.was_published = False
        self.is_sent_once = False
        self.asked_at_s = 0.0
        self.patience_s = ASK_AGAIN_S


class Waiting(Struct, frozen=True):
    """A request and its form on the wire."""

    ticket: Ticket
    encoded: bytes
    chain: str | None


class Requests:
    """The requests of one process. The first answer to each counts."""

    def __init__(self) -> None:
        """None so far."""
        self._numbers = itertools.count(1)
        self._ready: list[Waiting] = []
        self._open: dict[str, Waiting] = {}

    def add(
        self, request: Request, origin: str, chain: str | None, timeout_s: float | None
    ) -> "asyncio.Future[Answer]":
        """Take a request to be sent."""
        waiting = self._waiting(request, origin, chain, timeout_s)
        size = len(waiting.encoded) + ARRAY_BYTES
        if size > limits.MESSAGE_BYTES_MAX:  # who answered it could not tell to whom
            del self._open[waiting.ticket.id]
            reason = f"{request.kind} has {size} bytes, the limit is {limits.MESSAGE_BYTES_MAX}"
            waiting.ticket.answer.set_result(Answer(statuses.MALFORMED, reason))
        else:
            self._ready.append(waiting)
        return waiting.ticket.answer

    def add_unqueued(
        self, request: Request, timeout_s: float
    ) -> tuple[Ready[Ticket], "asyncio.Future[Answer]"]:
        """Take a request that the caller sends himself, and that is never sent again."""
        waiting = self._waiting(request, request.origin(), None, timeout_s)
        waiting.ticket.is_sent_once = True
        return Ready(waiting.encoded, None, waiting.ticket), waiting.ticket.answer

    def _waiting(
        self, request: Request, origin: str, chain: str | None, timeout_s: float | None
    ) -> Waiting:
        loop = asyncio.get_running_loop()
        id = str(next(self._numbers))
        deadline_s = None if timeout_s is None else loop.time() + timeout_s
        ticket = Ticket(id, request.kind, origin, loop.create_future(), deadline_s)
        waiting = Waiting(ticket, envelope.encode_request(request, id, chain), chain)
        self._open[id] = waiting
        return waiting

    @property
    def has_ready(self) -> bool:
        """Whether something is to be sent."""
        return bool(self._ready)

    def take_ready(self) -> list[Ready[Ticket]]:
        """Take what is to be sent, in order; what nobody waits for any more is left out."""
        ready, self._ready = self._ready, []
        now_s = asyncio.get_running_loop().time()
        taken: list[Ready[Ticket]] = []
        broken = set[str]()
        for waiting in ready:
            answer, chain = waiting.ticket.answer, waiting.chain
            if chain in broken:
                self._fail(waiting.ticket, "an earlier item of its chain was not carried out")
            if answer.done():
                self._open.pop(waiting.ticket.id, None)
                if chain is not None and not _is_ok(answer):
                    broken.add(chain)
                continue
            waiting.ticket.was_published = True
            waiting.ticket.asked_at_s = now_s
            taken.append(Ready(waiting.encoded, waiting.chain, waiting.ticket))
        return taken

    def not_published(self, tickets: Sequence[Ticket]) -> None:
        """The broker did not take these."""
        for ticket in tickets:
            ticket.was_published = False

    def send_again(self, tickets: Sequence[Ticket]) -> None:
        """These are to be sent again, if they have not been meanwhile."""
        for ticket in tickets:
            waiting = self._open.get(ticket.id)
            if waiting is not None and not (ticket.was_published or ticket.is_sent_once):
                self._ready.append(waiting)

    def send_all_again(self) -> None:
        """The connection was lost, and with it every answer that was under way.

        What may have been carried out, and has no version, is for its sender to look after: to
        carry it out again would undo what others have done since.
        """
        for waiting in tuple(self._open.values()):
            ticket = waiting.ticket
            if ticket.was_published and ticket.kind in UNVERSIONED:
                del self._open[ticket.id]
                self._fail(ticket, "the connection was lost")
        self._ready = [w for w in self._open.values() if not w.ticket.is_sent_once]

    def ask_again(self, now_s: float) -> None:
        """What has not been answered for long is to be sent again, in order.

        Answers are lost when a machine dies after its acknowledgement, or while a broker in need
        takes no messages. Who does not ask again waits for ever. A chain is asked again as a whole:
        its last item alone might be carried out for somebody else.
        """
        chains = {w.chain for w in self._open.values() if _is_late(w.ticket, now_s)} - {None}
        for waiting in self._open.values():
            ticket = waiting.ticket
            if waiting.chain not in chains and not _is_late(ticket, now_s):
                continue
            longer_s = min(2 * ticket.patience_s, ASK_AGAIN_S_MAX)
            ticket.patience_s = longer_s * random.SystemRandom().uniform(0.75, 1.0)
            ticket.asked_at_s = now_s
            self._ready.append(waiting)

    def answered(self, responses: Sequence[ReceivedResponse]) -> None:
        """Answers have arrived; those nobody waits for are dropped."""
        for response in responses:
            waiting = self._open.pop(response.head.correlation_id, None)
            if waiting is None or waiting.ticket.answer.done():
                continue
            try:
                waiting.ticket.answer.set_result(envelope.decode_answer(response))
            except UNREADABLE as error:
                self._fail(waiting.ticket, f"what came as its answer cannot be read: {error}")

    def expire(self, now_s: float, why: str) -> None:
        """Give up what has waited too long.

        Args:
            now_s: on the clock of the loop.
            why: what keeps the answers away.
        """
        expired = [
            waiting.ticket
            for waiting in self._open.values()
            if waiting.ticket.deadline_s is not None and waiting.ticket.deadline_s <= now_s
        ]
        for ticket in expired:
            del self._open[ticket.id]
            self._fail(ticket, why)

    def fail_all(self, why: str) -> None:
        """Give up everything."""
        for waiting in self._open.values():
            self._fail(waiting.ticket, why)
        self._open.clear()
        self._ready.clear()

    def _fail(self, ticket: Ticket, why: str) -> None:
        if ticket.answer.done():
            return
        reason = f"{ticket.kind} of {ticket.origin!r} was not answered: {why}"
        if ticket.was_published:
            reason += "; it may still be carried out"
        ticket.answer.set_exception(TransportError(reason, may_be_carried_out=ticket.was_published))


def _is_late(ticket: Ticket, now_s: float) -> bool:
    """Whether a request waits for its answer in vain, and may be repeated."""
    is_repeatable = not ticket.is_sent_once and ticket.kind not in UNVERSIONED
    is_asked = ticket.was_published and is_repeatable
    return is_asked and now_s - ticket.asked_at_s >= ticket.patience_s


def _is_ok(answer: "asyncio.Future[Answer]") -> bool:
    return not answer.cancelled() and answer.exception() is None and answer.result().is_ok
