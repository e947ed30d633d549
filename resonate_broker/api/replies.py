"""Answers on their way back: those for one queue travel together."""

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from resonate_broker.congestion import is_congested
from resonate_sdk.amqp.publisher import Publication
from resonate_sdk.amqp.session import Session
from resonate_sdk.protocol import envelope
from resonate_sdk.protocol.coalescing import Ready, into_messages
from resonate_sdk.protocol.requests import KINDS
from resonate_sdk.protocol.responses import Answer
from resonate_sdk.protocol.topology import NOW_HEADER

HELD_S_MAX = 30.0
HELD_BYTES_MAX = 64 * 1024 * 1024


class Reply(Struct, frozen=True, kw_only=True):
    """An answer and where it goes.

    Attributes:
        is_array: whether it travels in an array.
        amqp_correlation_id: of the request's message, for an answer that travels alone.
        now_ms: the instant it was decided at; 0 if that took no look at the store.
    """

    reply_to: str
    is_array: bool
    amqp_correlation_id: str | None
    kind: str
    correlation_id: str
    answer: Answer
    now_ms: int


class Replies:
    """Gathers answers and sends them. While the broker does not keep up they wait, for a while."""

    def __init__(self) -> None:
        """Have none."""
        self._gathered: list[Reply] = []
        self._held = deque[tuple[float, Publication]]()
        self._held_bytes = 0

    def add(self, reply: Reply) -> None:
        """Send an answer at the next flush."""
        self._gathered.append(reply)

    def flush(self, session: Session | None, now_s: float) -> None:
        """Hand over what was gathered, and what had to wait."""
        gathered, self._gathered = self._gathered, []
        for publication in _publications(gathered):
            self._held.append((now_s, publication))
            self._held_bytes += len(publication.body)
        # Nobody waits so long for an answer: clients ask again.
        while self._held_bytes > HELD_BYTES_MAX or (
            self._held and now_s - self._held[0][0] > HELD_S_MAX
        ):
            self._take()
        if session is None:
            return
        while self._held and not is_congested(session.publisher.under_way):
            session.publisher.publish(self._take())

    def _take(self) -> Publication:
        _, publication = self._held.popleft()
        self._held_bytes -= len(publication.body)
        return publication


def _publications(replies: list[Reply]) -> Iterator[Publication]:
    arrays: dict[str, list[Reply]] = {}
    for reply in replies:
        if reply.is_array:
            arrays.setdefault(reply.reply_to, []).append(reply)
        else:
            yield _publication(reply, _encode(reply), reply.amqp_correlation_id)
    for several in arrays.values():
        ready = [Ready(_encode(reply), None, reply) for reply in several]
        for message in into_messages(ready):
            body = envelope.join([item.encoded for item in message])
            yield _publication(message[-1].ticket, body, None)


def _publication(reply: Reply, body: bytes, correlation_id: str | None) -> Publication:
    return Publication(
        exchange="",
        routing_key=reply.reply_to,
        body=body,
        kind=_kind(reply),
        correlation_id=correlation_id,
        headers={NOW_HEADER: reply.now_ms} if reply.now_ms else None,
        is_mandatory=False,
        is_persistent=False,
    )


def _kind(reply: Reply) -> str:
    """The property `type`; whoever asks for what nobody knows may call it as long as he likes."""
    return reply.kind if reply.kind in KINDS else envelope.UNKNOWN_KIND


def _encode(reply: Reply) -> bytes:
    return envelope.encode_answer(reply.kind, reply.correlation_id, reply.answer)
