"""The way of events from the outbox to the broker: in order, until it has confirmed them."""

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import UTC, datetime

from resonate_broker.aio.messages import is_congested
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
            if await self._publish_batch(session):
                continue
            pause_s = random.SystemRandom().uniform(0.5, 1.0) * LOOK_INTERVAL_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._has_events.wait()
            except TimeoutError:
                pass

    async def _publish_batch(self, session: Session) -> bool:
        """Publish the oldest events; True if more may be waiting."""
        if is_congested(session):
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
        told: list[int] = []
        by_origin: dict[str, list[NumberedEvent]] = {}
        for event in events:
            by_origin.setdefault(event.event.origin, []).append(event)
        try:
            async with asyncio.timeout(PUBLISH_S_MAX), asyncio.TaskGroup() as tasks:
                for several in by_origin.values():
                    tasks.create_task(self._publish_in_turn(session, several, told))
        except TimeoutError:
            logger.debug("the broker takes its time count=%d told=%d", len(events), len(told))
        return told

    async def _publish_in_turn(
        self, session: Session, events: Sequence[NumberedEvent], told: list[int]
    ) -> None:
        for event in events:
            try:
                await session.publisher.publish(self._publication(event))
            except RefusedError:
                logger.warning("a queue bound to the events is full kind=%s", event.event.kind)
                return
            except SessionLostError:
                return
            told.append(event.position)

    def _publication(self, numbered: NumberedEvent) -> Publication:
        event = numbered.event
        time = datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        return Publication(
            exchange=self._names.events,
            routing_key=tap_messages.routing_key(numbered),
            body=event.data.encode(),
            kind=tap_messages.TYPE_PREFIX + event.kind,
            headers=tap_messages.headers(numbered, self._source, time.replace("+00:00", "Z")),
            is_mandatory=False,  # nobody needs to listen
        )
