"""Triggers: their rows, and their queues on the broker."""

import logging
import re

from resonate_broker.kernel.submissions import Failed, TriggerRefused
from resonate_sdk.amqp.session import RefusedByBrokerError, Session, SessionLostError
from resonate_sdk.protocol import limits, topology
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.topology import Names
from resonate_store.store import StoreError, TriggerRows

logger = logging.getLogger(__name__)

TYPES = ("topic", "direct", "fanout")
NOT_CONNECTED = Failed("not connected to RabbitMQ")


class TriggerSubsystem:
    """Creates and ends triggers; what the rows say is what all servers serve.

    Attributes:
        on_change: called when a trigger was created or ended here.
    """

    def __init__(self, names: Names, rows: TriggerRows, exchanges: str) -> None:
        """Have no session yet.

        Args:
            names: of our own queues.
            rows: of all triggers.
            exchanges: a pattern: triggers may be bound to those whose whole name fits it.
        """
        self._exchanges = re.compile(exchanges)
        self._names = names
        self._rows = rows
        self._session: Session | None = None
        self._off: str | None = None
        self.on_change = lambda: None

    def use(self, session: Session | None) -> None:
        """Go on with another session."""
        self._session = session

    def switch_off(self, reason: str) -> None:
        """Create no triggers here, for this reason."""
        self._off = reason

    async def create(self, trigger: TriggerRecord) -> TriggerRecord | TriggerRefused | Failed:
        """Store a trigger and bind its queue.

        The row comes first: if we die in between, any server that sees it makes the queue.
        """
        session = self._session
        if self._off is not None:
            return TriggerRefused(self._off)
        if session is None:
            return NOT_CONNECTED
        try:
            reason = await self._fault(session, trigger)
            if reason is not None:
                return TriggerRefused(reason)
            is_new = await self._rows.insert(trigger)
            stored = await self._find(trigger.id)
            if stored is None:
                return TriggerRefused(
                    f"there are {limits.TRIGGERS_MAX} triggers, that is the limit"
                )
            if stored.is_ending:
                return Failed(f"another trigger {trigger.id!r} is just being deleted")
            try:
                await self.attach(session, stored)
            except RefusedByBrokerError as error:
                if is_new:
                    await self._rows.end(trigger.id)
                    self.on_change()
                return TriggerRefused(f"the queue cannot be bound: {error}")
        except (SessionLostError, StoreError) as error:
            return Failed(str(error))
        self.on_change()
        return stored

    async def read(self) -> tuple[TriggerRecord, ...] | Failed:
        """Read all triggers."""
        try:
            return await self._rows.all()
        except StoreError as error:
            return Failed(str(error))

    async def end(self, id: str) -> bool | Failed:
        """Let a trigger take no more events: first its row, so that nobody binds it again."""
        try:
            trigger = await self._find(id)
            if trigger is None or not await self._rows.end(id):
                return False
        except StoreError as error:
            return Failed(str(error))
        self.on_change()
        try:
            if self._session is not None:
                queue = self._names.trigger_queue(id)
                await self._session.detach(queue, trigger.exchange, trigger.routing_key)
        except SessionLostError as error:
            logger.warning("trigger gets events a little longer trigger=%s reason=%s", id, error)
        return True

    async def _find(self, id: str) -> TriggerRecord | None:
        return next((trigger for trigger in await self._rows.all() if trigger.id == id), None)

    async def attach(self, session: Session, trigger: TriggerRecord) -> None:
        """Make the queue of a trigger, and bind it.

        Raises:
            RefusedByBrokerError: the exchange is not there, or we may not use it.
            SessionLostError: the broker does not answer.
        """
        await session.attach(
            topology.trigger_topology(
                self._names, trigger.id, trigger.exchange, trigger.routing_key
            )
        )

    async def dismiss(self, session: Session, id: str) -> None:
        """Remove what is left of a trigger that has ended, if nobody consumes its queue.

        Raises:
            SessionLostError: the broker does not answer.
            StoreError: the database does not.
        """
        queue = self._names.trigger_queue(id)
        count = await session.count(queue)
        if count is not None and count.consumers > 0:
            return
        if count is not None:
            await session.delete_queue(queue)
        await self._rows.remove(id)
        logger.info("trigger was deleted trigger=%s", id)

    async def _fault(self, session: Session, trigger: TriggerRecord) -> str | None:
        """Why nothing useful can be bound to an exchange; a sentence, or None."""
        name = trigger.exchange
        if self._names.is_ours(name):
            return f"exchange {name!r} belongs to the server itself"
        if not self._exchanges.fullmatch(name):
            return (
                f"exchange {name!r} may not be listened to: the setting "
                "integration.trigger_exchanges of the server says which may"
            )
        kind = await session.exchange_type(name)
        if kind is None:
            return (
                f"there is no exchange {name!r} on this virtual host: who publishes the events "
                "declares it"
            )
        if kind and kind not in TYPES:
            return (
                f"exchange {name!r} is of the type {kind!r}: a trigger is bound by a routing key, "
                f"which exchanges of the types {', '.join(TYPES)} understand"
            )
        return None
