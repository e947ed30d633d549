"""The way of events from the outbox to the broker: in order, until it has confirmed them."""

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from resonate_broker.congestion import is_congested
from resonate_broker.integration import tap_messages
from resonate_broker.kernel.meters import Meters
from resonate_sdk.amqp.publisher import Publication, RefusedError
from resonate_sdk.amqp.session import Session, SessionLostError
from resonate_sdk.protocol.topology import Names
from resonate_store.state import NumberedEvent
from resonate_store.store import EventRows, StoreError

logger = logging.getLogger(__name__)

BATCH_MAX = 500
PUBLISH_S_MAX = 1.5  # per batch: the claim on the outbox ends after 3 s
LOOK_INTERVAL_S = 1.0  # another server may have written events, and died


class EventOutlet:
    """Publishes what is in the outbox; several servers take turns."""

    def __init__(self, names: Names, rows: EventRows, meters: Meters) -> None:
        """Publish nothing yet, and count what is published."""
        self._meters = meters
        self._names = names
        self._source = f"/resonate/{names.namespace}"
        self._rows = rows
        self._has_events = asyncio.Event()

    def wake(self) -> None:
        """There are events."""
        self._has_events.set()

    async def serve(self, session: Session) -> None:
        """Publish for as long as the session lasts."""
        while not session.is_lost:
            self._has_events.clear()
            if await self.publish_oldest(session):
                continue
            pause_s = random.SystemRandom().uniform(0.5, 1.0) * LOOK_INTERVAL_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._has_events.wait()
            except TimeoutError:
                pass

    async def publish_oldest(self, session: Session) -> bool:
        """Publish the oldest events, if the broker keeps up; True if more may be waiting."""
        if is_congested(session.publisher.under_way):
            return False
        try:
            async with self._rows.claim(BATCH_MAX) as claim:
                if not claim.events:
                    return False
                told = await self._publish(session, claim.events)
                await claim.forget(told)
                self._meters.events_told += len(told)
        except StoreError as error:
            logger.warning("events wait for the database reason=%s", error)
            return False
        # If some were not taken the broker is busy, or a queue is full: give it a moment.
        return len(told) == len(claim.events) == BATCH_MAX

    async def _publish(self, session: Session, events: Sequence[NumberedEvent]) -> Sequence[int]:
        """Publish events; return the positions of those that the broker has confirmed.

        The next event of an origin goes out when the one before is confirmed. Otherwise a full
        queue could refuse one and take its successor.
        """
        confirms: list[tuple[NumberedEvent, asyncio.Future[None]]] = []
        refused: set[str] = set()
        try:
            async with asyncio.timeout(PUBLISH_S_MAX):
                for turn in turns(events):
                    begin = len(confirms)
                    for event in turn:
                        if event.event.origin not in refused:
                            confirmed = session.publisher.publish(self._publication(event))
                            confirms.append((event, confirmed))
                    for event, confirmed in confirms[begin:]:
                        if not await _is_taken(confirmed):
                            refused.add(event.event.origin)
                            kind = event.event.kind
                            logger.warning("a queue bound to the events is full kind=%s", kind)
        except SessionLostError:
            pass
        except TimeoutError:
            logger.debug("the broker takes its time count=%d", len(events))
        return [event.position for event, confirmed in confirms if _has_come(confirmed)]

    def _publication(self, numbered: NumberedEvent) -> Publication:
        event = numbered.event
        return Publication(
            exchange=self._names.events,
            routing_key=tap_messages.routing_key(numbered),
            body=event.data.encode(),
            kind=tap_messages.TYPE_PREFIX + event.kind,
            headers=tap_messages.headers(numbered, self._source, _time(event.at_ms)),
            is_mandatory=False,  # nobody needs to listen
        )


def turns(events: Iterable[NumberedEvent]) -> Iterable[Sequence[NumberedEvent]]:
    """The first events of all origins, then the second ones, and so on."""
    turns: list[list[NumberedEvent]] = []
    counts: dict[str, int] = {}
    for event in events:
        turn = counts.get(event.event.origin, 0)
        counts[event.event.origin] = turn + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(event)
    return turns


async def _is_taken(confirmed: "asyncio.Future[None]") -> bool:
    """Whether the broker has taken a message.

    Raises:
        SessionLostError: it will never say.
    """
    try:
        # A timeout ends the wait, and not what is waited for.
        await asyncio.shield(confirmed)
    except RefusedError:
        return False
    return True


def _has_come(confirmed: "asyncio.Future[None]") -> bool:
    """Whether the broker has said that it has taken a message."""
    return confirmed.done() and not confirmed.cancelled() and confirmed.exception() is None


@lru_cache(maxsize=64)
def _time(at_ms: int) -> str:
    """An instant as CloudEvents write it; what one batch has changed has one."""
    time = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")
