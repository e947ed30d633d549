"""Requests on their way: not sent yet, sent and not answered, to be sent again."""

import asyncio
import itertools
import logging
import random
from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from resonate_sdk.errors import TransportError
from resonate_sdk.protocol import envelope, limits, responses as statuses
from resonate_sdk.protocol.coalescing import Ready
from resonate_sdk.protocol.envelope import ReceivedResponse
from resonate_sdk.protocol.faults import UNREADABLE
from resonate_sdk.protocol.requests import UNVERSIONED, Request, TaskHeartbeat
from resonate_sdk.protocol.responses import Answer

logger = logging.getLogger(__name__)

ASK_AGAIN_S = 30.0  # without an answer, then after twice as long, and so on
ASK_AGAIN_S_MAX = 240.0
ARRAY_BYTES = 2  # of the array that every request travels in

# Requests of one process that the server may have and has not answered. What comes behind them waits
# here, where it costs nobody else anything: a hundred thousand calls begun at once would otherwise
# lie before the requests of the workers that carry them out.
UNDER_WAY_MAX = 2_000


class Ticket:
    """One request until it is answered.

    Attributes:
        timeout_s: how long to wait for the answer; None for ever.
        deadline_s: when to give up, on the clock of the loop; None for never.
        is_under_way: whether it takes up room among those that the server may have.
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
        "is_under_way",
        "kind",
        "origin",
        "patience_s",
        "timeout_s",
        "was_published",
    )

    def __init__(
        self,
        id: str,
        kind: str,
        origin: str,
        answer: "asyncio.Future[Answer]",
        timeout_s: float | None,
    ) -> None:
        """A request that has not been sent."""
        self.id = id
        self.kind = kind
        self.origin = origin
        self.answer = answer
        self.timeout_s = timeout_s
        self.deadline_s = None if timeout_s is None else answer.get_loop().time() + timeout_s
        self.is_under_way = False
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
        self._ahead: deque[Waiting] = deque()  # what waits for no room: repetitions, heartbeats
        self._ready: deque[Waiting] = deque()
        self._open: dict[str, Waiting] = {}
        self._under_way = 0
        self._answered_at_s: float | None = None

    def add(
        self, request: Request, origin: str, chain: str | None, timeout_s: float | None
    ) -> "asyncio.Future[Answer]":
        """Take a request to be sent."""
        waiting = self._waiting(request, origin, chain, timeout_s)
        size = len(waiting.encoded) + ARRAY_BYTES
        if size > limits.MESSAGE_BYTES_MAX:  # who answered it could not tell to whom
            self._close(waiting.ticket.id)
            reason = f"{request.kind} has {size} bytes, the limit is {limits.MESSAGE_BYTES_MAX}"
            waiting.ticket.answer.set_result(Answer(statuses.MALFORMED, reason))
        elif chain is None and isinstance(request, TaskHeartbeat):
            self._ahead.append(waiting)  # leases do not wait
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
        ticket = Ticket(id, request.kind, origin, loop.create_future(), timeout_s)
        waiting = Waiting(ticket, envelope.encode_request(request, id, chain), chain)
        self._open[id] = waiting
        return waiting

    @property
    def unanswered(self) -> int:
        """How many have no answer yet."""
        return len(self._open)

    @property
    def has_ready(self) -> bool:
        """Whether something is to be sent, and there is room for it."""
        return bool(self._ahead or (self._ready and self._has_room))

    def take_ready(self) -> list[Ready[Ticket]]:
        """Take what is to be sent, in order; what nobody waits for any more is left out."""
        now_s = asyncio.get_running_loop().time()
        taken: list[Ready[Ticket]] = []
        broken = set[str]()
        chain: str | None = None
        while (waiting := self._next(chain)) is not None:
            answer, chain = waiting.ticket.answer, waiting.chain
            if chain in broken:
                self._fail(waiting.ticket, "an earlier item of its chain was not carried out")
            if answer.done():
                self._close(waiting.ticket.id)
                if chain is not None and not _is_ok(answer):
                    broken.add(chain)
                continue
            self._leaves(waiting.ticket, now_s)
            taken.append(Ready(waiting.encoded, waiting.chain, waiting.ticket))
        return taken

    def _next(self, chain: str | None) -> Waiting | None:
        """The next to be sent, if there is room; a chain that was begun is taken as a whole."""
        if self._ahead:
            return self._ahead.popleft()
        if not self._ready:
            return None
        goes_on = chain is not None and self._ready[0].chain == chain
        return self._ready.popleft() if goes_on or self._has_room else None

    @property
    def _has_room(self) -> bool:
        return self._under_way < UNDER_WAY_MAX

    def _leaves(self, ticket: Ticket, now_s: float) -> None:
        if not ticket.is_under_way:
            ticket.is_under_way = True
            self._under_way += 1
        if not ticket.was_published:
            ticket.deadline_s = self._deadline_s(ticket)
        ticket.was_published = True
        ticket.asked_at_s = now_s

    def _deadline_s(self, ticket: Ticket) -> float | None:
        """When to give up what has not been sent: while others are answered, it only waits for room."""
        if ticket.deadline_s is None or ticket.timeout_s is None or self._answered_at_s is None:
            return ticket.deadline_s
        return max(ticket.deadline_s, self._answered_at_s + ticket.timeout_s)

    def _close(self, id: str) -> Waiting | None:
        """Nothing is to come of a request any more; None if that was so before."""
        waiting = self._open.pop(id, None)
        if waiting is not None:
            self._stays(waiting.ticket)
        return waiting

    def _stays(self, ticket: Ticket) -> None:
        if ticket.is_under_way:
            ticket.is_under_way = False
            self._under_way -= 1

    def not_published(self, tickets: Sequence[Ticket]) -> None:
        """The broker did not take these."""
        for ticket in tickets:
            ticket.was_published = False
            self._stays(ticket)

    def send_again(self, tickets: Sequence[Ticket]) -> None:
        """These are to be sent again, if they have not been meanwhile."""
        for ticket in tickets:
            waiting = self._open.get(ticket.id)
            if waiting is not None and not (ticket.was_published or ticket.is_sent_once):
                self._ahead.append(waiting)

    def send_all_again(self) -> None:
        """The connection was lost, and with it every answer that was under way.

        What may have been carried out, and has no version, is for its sender to look after: to
        carry it out again would undo what others have done since.
        """
        for waiting in tuple(self._open.values()):
            ticket = waiting.ticket
            self._stays(ticket)
            if ticket.was_published and ticket.kind in UNVERSIONED:
                self._close(ticket.id)
                self._fail(ticket, "the connection was lost")
        self._ahead.clear()
        self._ready = deque(w for w in self._open.values() if not w.ticket.is_sent_once)

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
            self._ahead.append(waiting)

    def answered(self, responses: Sequence[ReceivedResponse]) -> None:
        """Answers have arrived; those nobody waits for are dropped."""
        self._answered_at_s = asyncio.get_running_loop().time()
        for response in responses:
            waiting = self._close(response.head.correlation_id)
            if waiting is None or waiting.ticket.answer.done():
                continue
            try:
                waiting.ticket.answer.set_result(envelope.decode_answer(response))
            except UNREADABLE as error:
                self._fail(waiting.ticket, f"what came as its answer cannot be read: {error}")

    def expire(self, now_s: float, why: str) -> None:
        """Give up what has waited too long, but not for room while others are answered.

        Args:
            now_s: on the clock of the loop.
            why: what keeps the answers away.
        """
        late = [
            waiting.ticket
            for waiting in self._open.values()
            if waiting.ticket.deadline_s is not None and waiting.ticket.deadline_s <= now_s
        ]
        for ticket in late:
            if not ticket.was_published:
                ticket.deadline_s = self._deadline_s(ticket)
            if ticket.deadline_s is not None and ticket.deadline_s <= now_s:
                self._close(ticket.id)
                self._fail(ticket, why)

    def fail_all(self, why: str) -> None:
        """Give up everything."""
        for waiting in self._open.values():
            self._stays(waiting.ticket)
            self._fail(waiting.ticket, why)
        self._open.clear()
        self._ahead.clear()
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
