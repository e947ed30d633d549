"""Messages to workers and listeners, and the queues of groups."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from resonate_broker.aio.plain import plain_publication
from resonate_broker.congestion import CONFIRM_TIMEOUT_S, is_congested
from resonate_broker.integration import results
from resonate_broker.kernel.meters import Meters
from resonate_broker.kernel.submissions import Failed, Outgoing, Probed, Published
from resonate_sdk.amqp.publisher import Publication, ReturnedError
from resonate_sdk.amqp.session import Session, SessionLostError
from resonate_sdk.amqp.under_way import NOTHING, UnderWay
from resonate_sdk.protocol import addresses, envelope, limits, messages, topology, traces
from resonate_sdk.protocol.addresses import ReplyAddress
from resonate_sdk.protocol.coalescing import Ready, into_messages
from resonate_sdk.protocol.messages import Invoke, Message, Notify, Resume
from resonate_sdk.protocol.topology import ANY_KEY, Names

logger = logging.getLogger(__name__)

Parcel = Sequence[Ready[Outgoing]]  # what travels in one message


class MessageSubsystem:
    """Publishes through the session of the moment; without one, nothing is handed over.

    That is harmless: the rows of tasks and listeners are the record, and are looked at again.
    """

    def __init__(self, names: Names, meters: Meters) -> None:
        """Have no session yet."""
        self._names = names
        self._meters = meters
        self._session: Session | None = None
        self._declared = set[str]()
        self._unconfirmed = Counter[str]()

    def use(self, session: Session | None) -> None:
        """Publish through another session; what the last one has not confirmed is forgotten."""
        self._session = session
        self._declared.clear()
        self._unconfirmed.clear()

    @property
    def is_open(self) -> bool:
        """Whether messages can be handed over: connected, and the broker keeps up."""
        session = self._session
        return session is not None and not is_congested(session.publisher.under_way)

    @property
    def is_connected(self) -> bool:
        """Whether there is a session."""
        return self._session is not None

    @property
    def under_way(self) -> UnderWay:
        """What the broker has not dealt with yet; nothing without a session."""
        return NOTHING if self._session is None else self._session.publisher.under_way

    async def declare(self, group: str) -> Failed | None:
        """Make the exchanges and the queue of a group."""
        session = self._session
        if session is None:
            return Failed("not connected to RabbitMQ")
        try:
            await self._ensure_declared(session, group)
        except SessionLostError as error:
            return Failed(str(error))
        return None

    async def probe(self, group: str) -> Probed | Failed:
        """Count what waits in the queue of a group."""
        session = self._session
        if session is None:
            return Failed("not connected to RabbitMQ")
        unconfirmed = self._unconfirmed[group]
        try:
            count = await session.count(self._names.task_queue(group))
        except SessionLostError as error:
            return Failed(str(error))
        if count is None:
            self._declared.discard(group)
            return Probed(ready=0, consumers=0, unconfirmed=0)
        return Probed(ready=count.ready, consumers=count.consumers, unconfirmed=unconfirmed)

    async def publish(self, outgoing: Iterable[Outgoing]) -> Published:
        """Publish messages; returns when the broker has answered to each of them, or should have."""
        session = self._session
        if session is None:
            return Published(())
        told: list[Outgoing] = []
        confirming: list[tuple[Parcel, asyncio.Future[None]]] = []
        for parcel in _parcels(outgoing):
            first = parcel[0].ticket
            if is_congested(session.publisher.under_way):
                break
            if not first.is_exclusive and first.group not in self._declared:
                try:
                    await self._ensure_declared(session, first.group)
                except SessionLostError as error:
                    logger.warning("queues of a group were not made reason=%s", error)
                    break
            confirming.append((parcel, self._publish(session, parcel)))
        if confirming:
            news = sum(len(parcel) for parcel, _ in confirming if parcel[0].ticket.listener)
            self._meters.owed += news
            try:
                await asyncio.wait(
                    [confirmed for _, confirmed in confirming], timeout=CONFIRM_TIMEOUT_S
                )
            finally:
                self._meters.owed -= news
        for parcel, confirmed in confirming:
            if confirmed.done() and self._is_done_with(parcel[0].ticket, confirmed):
                told += (item.ticket for item in parcel if item.ticket.listener is not None)
        return Published(tuple(told))

    async def _ensure_declared(self, session: Session, group: str) -> None:
        if group not in self._declared:
            await session.declare(topology.group_topology(self._names, group))
            if len(self._declared) >= limits.GROUPS_MAX:
                self._declared.clear()  # declaring a queue that is there costs a moment
            self._declared.add(group)

    def _publish(self, session: Session, parcel: Parcel) -> "asyncio.Future[None]":
        confirmed = session.publisher.publish(self._publication(parcel))
        outgoing = parcel[0].ticket
        if outgoing.listener is None and not outgoing.is_exclusive:
            group = outgoing.group
            self._unconfirmed[group] += 1
            confirmed.add_done_callback(lambda _: self._confirmed(session, group))
        return confirmed

    def _confirmed(self, session: Session, group: str) -> None:
        if session is self._session:
            self._unconfirmed[group] -= 1
            if not self._unconfirmed[group]:
                del self._unconfirmed[group]

    def _is_done_with(self, outgoing: Outgoing, confirmed: "asyncio.Future[None]") -> bool:
        """Whether a message need not be sent again."""
        match confirmed.exception():
            case None:
                return True
            case ReturnedError() if outgoing.is_exclusive:
                return True  # the process is gone, and with it everybody who listened
            case ReturnedError():
                self._declared.discard(outgoing.group)
                return False
            case _:
                return False

    def _publication(self, parcel: Parcel) -> Publication:
        outgoing = parcel[0].ticket
        if (address := _reply_address(outgoing)) is not None:
            return _plain_result(outgoing, address)
        several = [ready.encoded for ready in parcel]
        body = several[0] if len(several) == 1 else envelope.join(several)
        kind = kind_of(outgoing.message)
        if outgoing.is_exclusive:
            assert outgoing.pid is not None, "an exclusive message names a process"
            queue = self._names.reply_queue(outgoing.pid)
            return Publication(
                exchange="", routing_key=queue, body=body, kind=kind, is_persistent=False
            )
        exchange = self._names.group(outgoing.group)
        key = outgoing.pid or ANY_KEY
        headers = _context(outgoing.message)
        return Publication(
            exchange=exchange, routing_key=key, body=body, kind=kind, headers=headers
        )


def _parcels(outgoing: Iterable[Outgoing]) -> Iterator[Parcel]:
    """News for one process travel together; a hint is what one worker takes, and travels alone."""
    news: dict[str, list[Ready[Outgoing]]] = {}
    for message in outgoing:
        ready = Ready(messages.encode(message.message), None, message)
        if _reply_address(message) is not None:
            yield (ready,)
        elif message.is_exclusive and message.listener is not None:
            assert message.pid is not None, "an exclusive message names a process"
            news.setdefault(message.pid, []).append(ready)
        else:
            yield (ready,)
    for several in news.values():
        yield from into_messages(several)


def _reply_address(outgoing: Outgoing) -> ReplyAddress | None:
    """Where somebody is told by a plain message; None if he knows the protocol."""
    if outgoing.listener is None or outgoing.pid is not None or not outgoing.is_exclusive:
        return None
    address = addresses.parse_listener(outgoing.listener.address)
    return address if isinstance(address, ReplyAddress) else None


def _plain_result(outgoing: Outgoing, address: ReplyAddress) -> Publication:
    """The result for whoever published an invocation; it is dropped if his queue is gone."""
    assert isinstance(outgoing.message, Notify), "somebody who waits is told of a settled promise"
    return plain_publication(address, results.told(address, outgoing.message.data.promise))


def _context(message: Message) -> Mapping[str, str] | None:
    """The trace to which the execution belongs that a hint is about, for who reads headers."""
    if isinstance(message, Notify) or message.data.promise is None:
        return None
    headers = message.data.promise.param.headers
    return traces.of(headers) if headers else None


def kind_of(message: Message) -> str:
    """The property `type` of a message."""
    match message:
        case Invoke():
            return "task.invoke"
        case Resume():
            return "task.resume"
        case Notify():
            return "notify"
