"""Consumes the queues of triggers: of all that the database has, on every server."""

import asyncio
import logging
import random
from functools import partial

from resonate_broker.aio.triggers import TriggerSubsystem
from resonate_broker.api.submission import SubmissionApi
from resonate_broker.kernel.submissions import Failed
from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.session import RefusedByBrokerError, Session, SessionLostError
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.topology import Names
from resonate_store.store import StoreError

logger = logging.getLogger(__name__)

LOOK_INTERVAL_S = 2.0
BIND_INTERVAL_S = 30.0  # an exchange may have been deleted and made again
PREFETCH = 32


class TriggerConsumers:
    """Keeps the consumers of one server in line with the rows of all."""

    def __init__(self, names: Names, triggers: TriggerSubsystem, api: SubmissionApi) -> None:
        """Consume nothing yet."""
        self._names = names
        self._triggers = triggers
        self._api = api
        self._consumers: dict[str, Consumer] = {}
        self._bound_at_s: dict[str, float] = {}
        self._has_changed = asyncio.Event()
        self._is_stopped = False
        self._trouble: str | None = None  # why the last look came to nothing
        triggers.on_change = self._has_changed.set

    async def serve(self, session: Session) -> None:
        """Consume for as long as the session lasts, or until stopped."""
        self._consumers.clear()
        self._bound_at_s.clear()
        while not (session.is_lost or self._is_stopped):
            self._has_changed.clear()
            try:
                await self._look(session)
            except SessionLostError as error:
                session.lose(str(error))
                return
            except StoreError as error:
                self._complain(str(error))
            pause_s = random.SystemRandom().uniform(0.5, 1.0) * LOOK_INTERVAL_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._has_changed.wait()
            except TimeoutError:
                pass

    async def stop(self) -> None:
        """Take no more events.

        Raises:
            Exception: one of `AMQP_ERRORS`; the connection is gone, and with it all events that
                were not done with.
        """
        self._is_stopped = True
        self._has_changed.set()
        for consumer in tuple(self._consumers.values()):
            await consumer.stop()

    async def _look(self, session: Session) -> None:
        found = await self._triggers.read()
        if isinstance(found, Failed):
            self._complain(found.reason)
            return
        known = {trigger.id for trigger in found}
        served = {trigger.id for trigger in found if not trigger.is_ending}
        for id in tuple(self._consumers):
            if id not in served:
                await session.stop(self._consumers.pop(id))
                self._bound_at_s.pop(id, None)
                if id not in known:
                    # Its queue was deleted while we were about to consume it, which made it again.
                    await session.delete_queue(self._names.trigger_queue(id))
        for trigger in found:
            if self._is_stopped:
                return
            if trigger.is_ending:
                await self._triggers.dismiss(session, trigger.id)
            else:
                await self._bind(session, trigger)
                await self._begin(session, trigger)
        self._trouble = None

    def _complain(self, reason: str) -> None:
        """Tell the log why triggers are not seen to: once, and again when it is another reason."""
        if reason != self._trouble:
            logger.warning("triggers cannot be seen to for now reason=%s", reason)
        self._trouble = reason

    async def _bind(self, session: Session, trigger: TriggerRecord) -> None:
        """Make the queue and its binding, and now and then again."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._bound_at_s.get(trigger.id, 0.0):
            return
        self._bound_at_s[trigger.id] = now_s + BIND_INTERVAL_S
        try:
            await self._triggers.attach(session, trigger)
        except RefusedByBrokerError as error:
            logger.warning(
                "trigger gets no events, it is tried again trigger=%s exchange=%s reason=%s",
                trigger.id,
                trigger.exchange,
                error,
            )

    async def _begin(self, session: Session, trigger: TriggerRecord) -> None:
        if trigger.id in self._consumers or self._is_stopped:
            return
        queue = self._names.trigger_queue(trigger.id)
        arrived = partial(self._arrived, trigger)
        consumer = await session.consume(queue, arrived, prefetch=PREFETCH)
        self._consumers[trigger.id] = consumer
        if self._is_stopped:
            await session.stop(consumer)
            return
        logger.info("trigger is served trigger=%s exchange=%s", trigger.id, trigger.exchange)

    def _arrived(self, trigger: TriggerRecord, consumer: Consumer, delivery: Delivery) -> None:
        self._api.event_arrived(trigger, consumer, delivery)
