"""Consumes the submission queues: hands requests to the kernel, answers, acknowledges."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from functools import partial

from msgspec.structs import replace

from resonate_broker.aio.plain import plain_publication
from resonate_broker.api import repeats, strict
from resonate_broker.api.deliveries import Asker, Incoming
from resonate_broker.api.plain import PlainDoor, answer_to
from resonate_broker.api.replies import Replies, Reply
from resonate_broker.congestion import is_congested
from resonate_broker.integration import dead_letters
from resonate_broker.integration.invocation import is_invocation
from resonate_broker.integration.signature import signed_body
from resonate_broker.kernel.chains import Link
from resonate_broker.kernel.entries import SQE, Completed, Submitted
from resonate_broker.kernel.recording import Caller
from resonate_broker.kernel.system import System
from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.publisher import Publication, RefusedError, ReturnedError
from resonate_sdk.amqp.session import Session
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol.envelope import Decoded, Malformed, decode_body
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.requests import Request, TaskHeartbeat
from resonate_sdk.protocol.responses import INTERNAL, UNAVAILABLE, Answer
from resonate_sdk.protocol.topology import Names

logger = logging.getLogger(__name__)

NOT_DECIDED = (UNAVAILABLE, INTERNAL)  # nothing was carried out, or nobody knows


OnAnswered = Callable[[Request, Answer, int], None]


class SubmissionApi:
    """One server's door. The broker holds what the kernel has no room for."""

    def __init__(
        self,
        system: System,
        names: Names,
        wake: Callable[[], None],
        *,
        admins: Collection[str] = (),
        is_recorded: bool = False,
        is_strict: bool = False,
        plain: PlainDoor,
        on_answered: OnAnswered | None = None,
    ) -> None:
        """Hand requests to a kernel.

        Args:
            system: the kernel.
            names: of the queues; answers to requests go to no others.
            wake: asks for a `flush` soon.
            admins: users that may ask for `debug.*`.
            is_recorded: whether the kernel has a recorder, which wants to know who asks.
            is_strict: whether what the protocol does not name is left out.
            plain: reads messages that are no requests yet.
            on_answered: told of each request that was answered, and when it had come.
        """
        self._on_answered = on_answered
        self._is_recorded = is_recorded
        self._is_strict = is_strict
        self._system = system
        self._names = names
        self._plain = plain
        self._wake = wake
        self._admins = admins
        self._replies = Replies()
        self._session: Session | None = None
        self._beats = deque[Incoming]()  # bounded by the prefetch, like the next
        self._waiting = deque[Incoming]()
        self._done: list[Incoming] = []  # answered, and not acknowledged yet
        self._told = dict[Incoming, None]()  # whose plain answer the broker has not confirmed yet

    def use(self, session: Session | None) -> None:
        """Go on with another session; what had not been started comes back through it."""
        self._session = session
        self._beats.clear()
        self._waiting.clear()
        self._told.clear()

    def forget_waiting(self) -> None:
        """Leave what has not been started to another server."""
        self._beats.clear()
        self._waiting.clear()

    def arrived(self, consumer: Consumer, delivery: Delivery) -> None:
        """A message of requests has come."""
        if is_invocation(delivery.routing_key) and consumer.queue != self._names.replies:
            self._waiting.append(self._plain.invocation(consumer, delivery))
            return
        if consumer.queue == self._names.replies:
            self._waiting.append(self._plain.reply(consumer, delivery))
            return
        waiting = self._beats if consumer.queue == self._names.heartbeat else self._waiting
        reply_to = self._reply_to(delivery)
        body = decode_body(delivery.body, may_debug=delivery.user_id in self._admins)
        if not self._is_strict:
            body = signed_body(body, delivery.body, delivery.user_id)
        waiting.append(Incoming(delivery, consumer, reply_to, body))

    def event_arrived(self, trigger: TriggerRecord, consumer: Consumer, delivery: Delivery) -> None:
        """An event for a trigger has come."""
        self._waiting.append(self._plain.event(trigger, consumer, delivery))
        self._wake()

    @property
    def has_beats(self) -> bool:
        """Whether heartbeats wait that the kernel has no room for."""
        return bool(self._beats)

    @property
    def is_behind(self) -> bool:
        """Whether messages wait that the kernel has no room for."""
        return bool(self._beats or self._waiting)

    @property
    def waiting(self) -> int:
        """Messages that wait because the kernel has no room for them."""
        return len(self._beats) + len(self._waiting)

    def feed(self) -> None:
        """Hand the kernel what it has room for: heartbeats first, and in the order of arrival."""
        for waiting in (self._beats, self._waiting):
            while waiting and self._take_all(waiting[0]):
                waiting.popleft()

    def flush(self, now_s: float) -> None:
        """Send the answers to what is done, and then acknowledge it."""
        self._replies.flush(self._session, now_s)
        self._drain()
        done, self._done = self._done, []
        for incoming in done:
            incoming.consumer.ack(incoming.delivery.tag)

    def _take_all(self, incoming: Incoming) -> bool:
        """Hand over the rest of a message; False if the kernel has no room for all of it."""
        while incoming.next < len(incoming.items):
            if not self._take(incoming, incoming.items[incoming.next]):
                return False
            incoming.next += 1
        return True

    def _take(self, incoming: Incoming, item: Decoded | Malformed) -> bool:
        match item:
            case Malformed(kind=kind, correlation_id=correlation_id, reason=reason):
                self._system.meters.malformed += 1
                link = incoming.link(item.chain)
                if link is not None:
                    link.fail()
                if incoming.asker is not None:
                    completed = Completed(Answer(item.status, reason), 0)
                    self._completed_plain(incoming, incoming.asker, item.raw, completed)
                elif incoming.reply_to is not None:
                    completed = Completed(Answer(item.status, reason), 0)
                    self._reply(incoming, incoming.reply_to, kind, correlation_id, completed)
                    self._done_one(incoming)
                else:
                    self._bury(incoming, item.raw, reason)
                return True
            case Decoded(request=request, head=head):
                link = incoming.link(head.chain)
                if repeats.is_too_late(request, incoming.delivery, self._system.known_now_ms):
                    return self._decline(incoming, item, link, repeats.REDELIVERED)
                # What may have killed a server shares its batch with its own delivery only.
                solitary = incoming.arrived_ns if incoming.delivery.is_redelivered else None
                callback = partial(self._completed, incoming, item)
                caller = self._caller(incoming, item)
                if self._is_strict:
                    request = strict.request(request)
                    if request is None:
                        return self._decline(incoming, item, link, strict.NOT_SERVED)
                sqe = SQE(Submitted(request, link, solitary, item.now_ms, caller=caller), callback)
                # In a chain it may need the version that the item before it is granted.
                is_urgent = isinstance(request, TaskHeartbeat) and link is None
                return self._system.submit(sqe, urgent=is_urgent)

    def _decline(
        self, incoming: Incoming, item: Decoded, link: Link | None, answer: Answer
    ) -> bool:
        """Answer what is not given to the kernel; its chain ends here."""
        if link is not None:
            link.fail()
        self._completed(incoming, item, Completed(answer, 0))
        return True

    def _caller(self, incoming: Incoming, item: Decoded) -> Caller | None:
        if not self._is_recorded or incoming.asker is not None:
            return None  # a plain message is no request of the protocol
        client = incoming.reply_to or incoming.delivery.routing_key
        return Caller(client, item.head.correlation_id, incoming.arrived_ns)

    def _completed(self, incoming: Incoming, item: Decoded, completed: Completed) -> None:
        if self._on_answered is not None:
            self._on_answered(item.request, completed.answer, incoming.arrived_ns)
        if self._is_strict:
            completed = replace(completed, answer=strict.answer(completed.answer))
        if incoming.asker is not None:
            self._completed_plain(incoming, incoming.asker, item.raw, completed)
            return
        if incoming.reply_to is not None:
            reply_to, correlation_id = incoming.reply_to, item.head.correlation_id
            self._reply(incoming, reply_to, item.kind, correlation_id, completed)
        if completed.crash is None:
            self._done_one(incoming)
        else:
            self._bury(incoming, item.raw, completed.crash)

    def _completed_plain(
        self, incoming: Incoming, asker: Asker, body: bytes, completed: Completed
    ) -> None:
        """Tell who asked by a plain message; he does not ask again, so it waits for the broker."""
        answer, session = completed.answer, self._session
        if session is None:
            return  # it comes again
        message = answer_to(asker, answer)
        confirmed: asyncio.Future[None] | None = None
        if asker.reply_to is not None and message is not None:
            confirmed = session.publisher.publish(plain_publication(asker.reply_to, message))
        if asker.reply_to is None and completed.crash is None and answer.status in NOT_DECIDED:
            # Nobody can be told to ask again, so the broker does: as often as the queue allows.
            incoming.consumer.reject(incoming.delivery.tag, requeue=True)
        elif completed.crash is not None or (asker.reply_to is None and not answer.is_ok):
            self._bury(incoming, body, completed.crash or str(answer.data))
        elif confirmed is None:
            self._done_one(incoming)
        else:
            self._told[incoming] = None
            confirmed.add_done_callback(partial(self._confirmed, incoming))

    def _confirmed(self, incoming: Incoming, confirmed: "asyncio.Future[None]") -> None:
        if incoming not in self._told:
            return  # it was not waited for, or comes again
        del self._told[incoming]
        if confirmed.exception() is None or isinstance(confirmed.exception(), RefusedError):
            self._done_one(incoming)
            self._wake()

    def _drain(self) -> None:
        """Wait for no answers while the broker does not keep up: what holds it up must go."""
        if (
            self._session is None
            or not self._told
            or not is_congested(self._session.publisher.under_way)
        ):
            return
        for incoming in self._told:
            self._done_one(incoming)
        self._told.clear()

    def _reply(
        self,
        incoming: Incoming,
        reply_to: str,
        kind: str,
        correlation_id: str,
        completed: Completed,
    ) -> None:
        self._replies.add(
            Reply(
                reply_to=reply_to,
                is_array=incoming.is_array,
                amqp_correlation_id=incoming.delivery.correlation_id,
                kind=kind,
                correlation_id=correlation_id,
                answer=completed.answer,
                now_ms=completed.now_ms,
            )
        )

    def _done_one(self, incoming: Incoming) -> None:
        incoming.open -= 1
        if incoming.open == 0:
            self._done.append(incoming)

    def _reply_to(self, delivery: Delivery) -> str | None:
        """Where somebody waits for answers; we publish to no queue but those of clients."""
        reply_to = delivery.reply_to
        if not reply_to:
            return None
        if not self._names.may_reply_to(reply_to):
            self._system.meters.addresses_refused += 1
            logger.warning("reply address is not allowed and was ignored reply_to=%s", reply_to)
            return None
        return reply_to

    def _bury(self, incoming: Incoming, item: bytes, reason: str) -> None:
        """Keep a request that could not be carried out where an operator finds it.

        Its message is acknowledged when the broker has confirmed that.
        """
        if self._session is None:
            return  # it comes again
        delivery = incoming.delivery
        headers = dead_letters.headers(
            delivery.headers,
            reason=reason,
            died_at_ms=self._system.store_now_ms,
            exchange=delivery.exchange,
            routing_key=delivery.routing_key,
            message_id=delivery.message_id,
            user_id=delivery.user_id,
        )
        confirmed = self._session.publisher.publish(
            Publication(
                exchange=self._names.dead_exchange,
                routing_key=incoming.consumer.queue,
                body=item,
                kind=delivery.kind or "",
                correlation_id=delivery.correlation_id,
                reply_to=delivery.reply_to,
                headers=headers,
                content_type=delivery.content_type or "",
                content_encoding=delivery.content_encoding,
            )
        )
        confirmed.add_done_callback(partial(self._buried, self._session, incoming, reason))

    def _buried(
        self,
        session: Session,
        incoming: Incoming,
        reason: str,
        confirmed: "asyncio.Future[None]",
    ) -> None:
        key = incoming.delivery.routing_key
        match confirmed.exception():
            case None:
                self._system.meters.dead_letters += 1
                logger.warning("request was dead-lettered routing_key=%s reason=%s", key, reason)
                self._done_one(incoming)
            case ReturnedError():
                session.lose("the queue of dead letters is gone")  # the next session makes it
            case RefusedError():
                logger.warning("the queue of dead letters is full routing_key=%s", key)
                self._give_up(incoming)
            case _:
                pass  # the session is lost: the request comes again
        self._wake()

    def _give_up(self, incoming: Incoming) -> None:
        """Leave a message to the broker, which keeps it until it can be dead-lettered."""
        incoming.consumer.reject(incoming.delivery.tag, requeue=False)
