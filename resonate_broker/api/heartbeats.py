"""Whether heartbeats reach a server: it looks at their queue for as long as it is connected."""

import asyncio
from collections.abc import Callable

from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_sdk.amqp.publisher import Publication
from resonate_sdk.amqp.session import QueueCount, Session, SessionLostError
from resonate_sdk.protocol.topology import Names

LOOK_INTERVAL_S = 0.5

# It goes nowhere; that the broker confirms it says that it takes messages.
PROBE = Publication(exchange="", routing_key="", body=b"", is_mandatory=False, is_persistent=False)


class HeartbeatWatch:
    """Keeps track of since when no heartbeat has been waiting unheard."""

    def __init__(
        self,
        names: Names,
        guard: LeaseGuard,
        *,
        store_now_ms: Callable[[], int | None],
        has_beats: Callable[[], bool],
        interval_s: float = LOOK_INTERVAL_S,
    ) -> None:
        """Hear nothing yet.

        Args:
            names: of the queues.
            guard: told whether heartbeats can be heard.
            store_now_ms: the clock of the store, as soon as that is known.
            has_beats: whether heartbeats have come that the kernel has no room for.
            interval_s: between two looks.
        """
        self._queue = names.heartbeat
        self._guard = guard
        self._store_now_ms = store_now_ms
        self._has_beats = has_beats
        self._interval_s = interval_s
        self._is_consumed = False

    @property
    def is_consumed(self) -> bool:
        """Whether the broker has lately seen a consumer on the queue of heartbeats."""
        return self._is_consumed

    async def serve(self, session: Session) -> None:
        """Look for as long as the session lasts."""
        probe = session.publisher.publish(PROBE)
        while not session.is_lost:
            try:
                probe = await self.look(session, probe)
            except SessionLostError as error:
                session.lose(str(error))
                return
            await asyncio.sleep(self._interval_s)

    async def look(self, session: Session, probe: "asyncio.Future[None]") -> "asyncio.Future[None]":
        """Look once.

        Args:
            session: of the moment.
            probe: a message published before the last pause. While the broker takes none it takes
                no heartbeats either.

        Returns:
            The probe for the next look.

        Raises:
            SessionLostError: the broker does not answer.
        """
        is_taking = probe.done()
        if is_taking:
            probe = session.publisher.publish(PROBE)
        count = await session.count(self._queue)
        self._is_consumed = count is not None and count.consumers > 0
        if is_heard(count, is_taking=is_taking, has_beats=self._has_beats()):
            self._guard.hears(self._store_now_ms())
        else:
            self._guard.heard_since_ms = None
        return probe

    def end(self) -> None:
        """There is no session: nothing is heard."""
        self._guard.heard_since_ms = None
        self._is_consumed = False


def is_heard(count: QueueCount | None, *, is_taking: bool, has_beats: bool) -> bool:
    """Whether no heartbeat waits unheard.

    Args:
        count: of the queue of heartbeats; None if it does not exist.
        is_taking: whether the broker takes messages.
        has_beats: whether heartbeats have come that the kernel has no room for.
    """
    return is_taking and count is not None and count.ready == 0 and not has_beats
