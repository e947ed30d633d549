"""Plain messages at the door: what they ask for, and where their answers go."""

import re
from datetime import UTC, datetime

from resonate_broker.api.deliveries import Asker, Incoming
from resonate_broker.integration import bodies, calls, celery, events, invocation, results
from resonate_broker.integration.invocation import wants_acknowledgement
from resonate_broker.integration.plain import NotPlainError, PlainMessage
from resonate_broker.integration.signature import signed
from resonate_broker.integration.tokens import Called, Tokens
from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.addresses import CeleryReplyAddress, ReplyAddress
from resonate_sdk.protocol.envelope import (
    UNKNOWN_CORRELATION_ID,
    Body,
    Decoded,
    Malformed,
    RequestHead,
)
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.requests import PromiseGet, Request
from resonate_sdk.protocol.responses import Answer, PromiseData
from resonate_sdk.protocol.topology import Names


class PlainDoor:
    """Reads plain messages, and words their answers."""

    def __init__(self, names: Names, reply_to: str, tokens: Tokens) -> None:
        """Read invocations, and replies to our calls.

        Args:
            names: of the queues; answers go to those of clients.
            reply_to: and to those whose whole name fits this pattern.
            tokens: by which replies find their promises.
        """
        self._tokens = tokens
        self._names = names
        self._reply_to = re.compile(reply_to)

    def invocation(self, consumer: Consumer, delivery: Delivery) -> Incoming:
        """Take in an invocation."""
        if celery.is_task(delivery.headers):
            return self._task(consumer, delivery)
        try:
            reply_to = self._address(delivery)
        except NotPlainError as error:
            return _incoming(consumer, delivery, _malformed(delivery, str(error)), Asker())
        asker = Asker(
            reply_to=reply_to, wants_acknowledgement=wants_acknowledgement(delivery.headers)
        )
        try:
            request = invocation.read(
                _body(delivery), delivery.message_id, delivery.headers, reply_to
            )
        except NotPlainError as error:
            return _incoming(consumer, delivery, _malformed(delivery, str(error)), asker)
        decoded = _decoded(request, delivery)
        return _incoming(consumer, delivery, decoded, asker)

    def reply(self, consumer: Consumer, delivery: Delivery) -> Incoming:
        """Take in the reply to a call; one that comes late or twice changes nothing."""
        called = self._tokens.read(delivery.correlation_id or "")
        if called is None:
            reason = f"correlation_id {delivery.correlation_id!r} belongs to no call of ours"
            item = Malformed(
                "reply", UNKNOWN_CORRELATION_ID, None, reason, delivery.body, responses.MALFORMED
            )
            return _incoming(consumer, delivery, item, Asker())
        request = _settlement(called, delivery)
        decoded = _decoded(request, delivery)
        return Incoming(delivery, consumer, None, Body(False, (decoded,)))

    def event(self, trigger: TriggerRecord, consumer: Consumer, delivery: Delivery) -> Incoming:
        """Take in an event of a trigger; nobody is answered."""
        try:
            request = events.read(
                trigger,
                _body(delivery),
                message_id=delivery.message_id,
                correlation_id=delivery.correlation_id,
                content_type=delivery.content_type,
                headers=delivery.headers,
            )
        except NotPlainError as error:
            reason = f"trigger {trigger.id!r}: {error}"
            return _incoming(consumer, delivery, _malformed(delivery, reason), Asker())
        decoded = _decoded(request, delivery)
        return _incoming(consumer, delivery, decoded, Asker())

    def _task(self, consumer: Consumer, delivery: Delivery) -> Incoming:
        """Take in a task of Celery. Every one names a reply queue, whether there is one or not."""
        queue, reply_to = delivery.reply_to, None
        if queue and self._may_reply_to(queue):
            reply_to = CeleryReplyAddress(queue, delivery.correlation_id or "")
        asker = Asker(reply_to=reply_to)
        try:
            request = celery.read(_body(delivery), delivery.headers, reply_to, _instant_ms)
        except NotPlainError as error:
            return _incoming(consumer, delivery, _malformed(delivery, str(error)), asker)
        decoded = _decoded(request, delivery)
        return _incoming(consumer, delivery, decoded, asker)

    def _may_reply_to(self, queue: str) -> bool:
        return self._names.may_reply_to(queue) or self._reply_to.fullmatch(queue) is not None

    def _address(self, delivery: Delivery) -> ReplyAddress | None:
        queue = delivery.reply_to
        if not queue:
            return None
        if not self._may_reply_to(queue):
            raise NotPlainError(
                f"reply_to {queue!r} is not allowed: use direct reply-to, a queue that the broker "
                f"has named, one that begins with {self._names.namespace}.reply., or let the "
                "setting integration.reply_to allow it"
            )
        return ReplyAddress(queue, delivery.correlation_id or delivery.message_id or "")


def answer_to(asker: Asker, answer: Answer) -> PlainMessage | None:
    """What the publisher of an invocation is told now; None if that is nothing yet."""
    match answer.data:
        case PromiseData(promise=promise) if promise.state != "pending":
            return results.told(asker.reply_to, promise) if asker.reply_to is not None else None
        case PromiseData(promise=promise):
            return results.accepted(promise) if asker.wants_acknowledgement else None
        case str(reason):
            refusal = results.refused(answer.status, reason)
            if isinstance(asker.reply_to, CeleryReplyAddress):
                return celery.refused(asker.reply_to.correlation_id, refusal)
            return refusal
        case _:
            raise AssertionError(f"an invocation is not answered with {answer.data!r}")


def _body(delivery: Delivery) -> bytes:
    """The body, unpacked.

    Raises:
        NotPlainError: it cannot be.
    """
    return bodies.read(
        delivery.body, delivery.content_type, delivery.content_encoding, delivery.headers
    )


def _settlement(called: Called, delivery: Delivery) -> Request:
    """What the reply to a call asks for."""
    id = called.promise_id
    try:
        body = _body(delivery)
    except NotPlainError as unfit:
        return calls.unfit_settlement(id, unfit)
    if not called.by_celery:
        return calls.settlement(id, body, delivery.content_type, delivery.headers)
    settlement = celery.settlement(id, body)
    # The task only begins, or is tried again: a look changes nothing.
    return settlement if settlement is not None else PromiseGet(id=id)


def _decoded(request: Request, delivery: Delivery) -> Decoded:
    asked = signed(request, delivery.user_id)
    return Decoded(request.kind, RequestHead(), asked, delivery.body)


def _malformed(delivery: Delivery, reason: str) -> Malformed:
    return Malformed(
        invocation.KIND,
        UNKNOWN_CORRELATION_ID,
        None,
        reason,
        delivery.body,
        responses.MALFORMED,
    )


def _instant_ms(text: str) -> int:
    """An instant as Celery writes it; without a zone it is UTC.

    Raises:
        ValueError: it is none.
    """
    found = datetime.fromisoformat(text)
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _incoming(
    consumer: Consumer, delivery: Delivery, item: Decoded | Malformed, asker: Asker
) -> Incoming:
    return Incoming(delivery, consumer, None, Body(False, (item,)), asker)
