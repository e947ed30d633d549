"""Hints of a worker: taken from the broker as its slots allow."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from resonate_sdk.amqp.capacity import (
    Ack,
    Action,
    Cancel,
    Capacity,
    Consume,
    PassOn,
    Requeue,
    Start,
)
from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.session import AMQP_ERRORS, Session, SessionLostError, describe
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol import messages, topology
from resonate_sdk.protocol.faults import UNREADABLE
from resonate_sdk.protocol.messages import Hint, Notify
from resonate_sdk.protocol.topology import Names
from resonate_sdk.transport import Arrival, Receiver

logger = logging.getLogger(__name__)

STICKY_PREFETCH = 16
CHANGE_TIMEOUT_S = 10.0
LOOK_S = 0.025
DEATH_HEADER = "x-death"  # the broker's note on a message that has left another queue


class Subscription:
    """One worker's share of its group's hints, over any number of sessions.

    Attributes:
        capacity: the slots.
        is_taking: whether the queues of the group are consumed, as far as there are free slots.
    """

    def __init__(
        self,
        names: Names,
        group: str,
        pid: str,
        slots: int,
        receiver: Receiver,
        server_now_ms: Callable[[], int | None],
        *,
        prefetch_max: int | None = None,
    ) -> None:
        """Take nothing yet.

        Args:
            names: of the queues.
            group: whose hints are taken.
            pid: the name of this process.
            slots: how many executions may be under way at a time.
            receiver: gets the hints.
            server_now_ms: the server's clock, if it is known.
            prefetch_max: how many hints the broker may deliver at a time, if not as many as slots.
        """
        self.capacity = Capacity(slots, prefetch_max)
        self._names = names
        self._group = group
        self._pid = pid
        self._receiver = receiver
        self._server_now_ms = server_now_ms
        self._session: Session | None = None
        self._shared: Consumer | None = None
        self._sticky: Consumer | None = None
        self._hints: dict[int, tuple[Hint, Delivery]] = {}
        self._changes = asyncio.Queue[Cancel | Consume]()
        self._look: asyncio.TimerHandle | None = None
        self.is_taking = False

    async def run(self, session: Session) -> None:
        """Take hints through a session until it is lost, or this is cancelled.

        Raises:
            SessionLostError: the broker refused something.
        """
        self._session = session
        self._hints.clear()
        self._changes = asyncio.Queue[Cancel | Consume]()
        await session.declare(topology.worker_topology(self._names, self._group, self._pid))
        sticky = self._names.worker_queue(self._group, self._pid)
        self._sticky = await session.consume(
            sticky, self._delivered_sticky, prefetch=STICKY_PREFETCH
        )
        self._shared = await session.consumer(self._names.task_queue(self._group), self._delivered)
        try:
            self._apply(self.capacity.begin(self._now_ms()))
            self.is_taking = True
            while True:
                await self._change(self._shared, await self._changes.get())
        finally:
            self.is_taking = False
            self._session = None
            if self._look is not None:
                self._look.cancel()
                self._look = None

    async def end(self) -> None:
        """Take no more hints; those that wait for a slot go back to the queue."""
        session, shared, sticky = self._session, self._shared, self._sticky
        if session is None or shared is None or sticky is None:
            return
        try:
            async with asyncio.timeout(CHANGE_TIMEOUT_S):
                await sticky.stop()
                await shared.stop()
        except AMQP_ERRORS as error:
            logger.debug("the consumers could not be stopped reason=%s", describe(error))
            return
        self._apply(self.capacity.end())

    def offer(self, hint: Hint, delivery: Delivery) -> None:
        """Take a hint that came for this process alone, if a slot is free; it is sent again."""
        for action in self.capacity.delivered_sticky(0):
            if isinstance(action, Start):
                self._receiver.on_hint(hint, _Slot(self, self._arrival(delivery), None, 0))

    async def _change(self, shared: Consumer, action: Cancel | Consume) -> None:
        try:
            async with asyncio.timeout(CHANGE_TIMEOUT_S):
                match action:
                    case Consume() if self.capacity.is_ended:
                        pass  # it was asked for before the end
                    case Consume(prefetch=prefetch):
                        await shared.start(prefetch)
                        if self.capacity.is_ended:  # meanwhile: nobody would start what comes
                            await shared.stop()
                            self._apply(self.capacity.end())
                    case Cancel():
                        await shared.stop()
                        self._apply(self.capacity.cancelled(self._now_ms()))
        except AMQP_ERRORS as error:
            raise SessionLostError(f"could not change the consumer: {describe(error)}") from error

    def _delivered(self, shared: Consumer, delivery: Delivery) -> None:
        hint = _decode(delivery)
        if hint is None:
            shared.ack(delivery.tag)
            return
        self._hints[delivery.tag] = hint, delivery
        self._apply(self.capacity.delivered(delivery.tag, self._now_ms()))

    def _delivered_sticky(self, sticky: Consumer, delivery: Delivery) -> None:
        hint = _decode(delivery)
        if hint is None:
            sticky.ack(delivery.tag)
            return
        for action in self.capacity.delivered_sticky(delivery.tag):
            match action:
                case PassOn(tag=tag):
                    sticky.reject(tag, requeue=False)
                case Start(tag=tag):
                    arrival = self._arrival(delivery)
                    self._receiver.on_hint(hint, _Slot(self, arrival, self._session, tag, sticky))
                case _:
                    raise AssertionError(f"{action} for a sticky hint")

    def answered(self, session: Session | None, tag: int, sticky: Consumer | None) -> None:
        """The attempt to acquire the task of a hint was answered."""
        if session is None or session is not self._session:
            return  # what came through another session has gone with it
        if sticky is not None:
            sticky.ack(tag)
        else:
            self._apply(self.capacity.answered(tag, self._now_ms()))

    def freed(self) -> None:
        """An execution has left its slot."""
        self._apply(self.capacity.freed(self._now_ms()))

    def _apply(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self._apply_one(action)
        self._look_later()

    def _apply_one(self, action: Action) -> None:
        if self._session is None or self._shared is None:
            return  # there is nobody to tell: the next session begins anew
        match action:
            case Start(tag=tag):
                hint, delivery = self._hints.pop(tag)
                slot = _Slot(self, self._arrival(delivery), self._session, tag)
                self._receiver.on_hint(hint, slot)
            case Ack(tag=tag):
                self._shared.ack(tag)
            case Requeue(tag=tag):
                del self._hints[tag]
                self._shared.reject(tag, requeue=True)
            case Cancel() | Consume():
                self._changes.put_nowait(action)
            case PassOn():
                raise AssertionError("only sticky hints are passed on")

    def _arrival(self, delivery: Delivery) -> Arrival:
        return Arrival(
            is_redelivered=delivery.is_redelivered,
            is_dead_lettered=DEATH_HEADER in delivery.headers,
            server_now_ms=self._server_now_ms(),
        )

    def _look_later(self) -> None:
        if self._look is None and self._session is not None and self.capacity.needs_look:
            self._look = asyncio.get_running_loop().call_later(LOOK_S, self._looked)

    def _looked(self) -> None:
        self._look = None
        self._apply(self.capacity.looked(self._now_ms()))

    def _now_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)


class _Slot:
    """The place of one execution."""

    __slots__ = ("_session", "_sticky", "_subscription", "_tag", "arrival")

    def __init__(
        self,
        subscription: Subscription,
        arrival: Arrival,
        session: Session | None,
        tag: int,
        sticky: Consumer | None = None,
    ) -> None:
        self.arrival = arrival
        self._subscription = subscription
        self._session = session
        self._tag = tag
        self._sticky = sticky

    def answered(self) -> None:
        self._subscription.answered(self._session, self._tag, self._sticky)

    def free(self) -> None:
        self._subscription.freed()


def _decode(delivery: Delivery) -> Hint | None:
    try:
        message = messages.decode(delivery.body)
    except UNREADABLE as error:
        logger.warning("a message was no hint queue_key=%s reason=%s", delivery.routing_key, error)
        return None
    if isinstance(message, Notify):
        logger.warning("news came where hints belong promise_id=%s", message.data.promise.id)
        return None
    return message
