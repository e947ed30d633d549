"""A session with which a broker cannot keep up, though it is as fast as ever."""

import asyncio
from collections.abc import Sequence

from resonate_broker.congestion import UNCONFIRMED_MAX, UNSENT_BYTES_MAX, is_congested
from resonate_sdk.amqp.publisher import Publication
from resonate_sdk.amqp.session import Session

CONFIRM_SECONDS_MAX = 20
LARGE_BYTES = UNSENT_BYTES_MAX // 4  # brokers refuse messages as large as the limit


class Congestion:
    """More is under way in a session than may be: nobody else has had a turn of the loop yet."""

    def __init__(self, session: Session, bodies: Sequence[bytes]) -> None:
        """Publish bodies that go nowhere."""
        self._confirmed = [session.publisher.publish(_to_nowhere(body)) for body in bodies]
        assert is_congested(session.publisher.under_way)

    async def over(self) -> None:
        """Return when the broker has taken all of it."""
        _, unconfirmed = await asyncio.wait(self._confirmed, timeout=CONFIRM_SECONDS_MAX)
        assert not unconfirmed


def many_messages(session: Session) -> Congestion:
    return Congestion(session, [b""] * (UNCONFIRMED_MAX + 1))


def many_bytes(session: Session) -> Congestion:
    return Congestion(session, [bytes(LARGE_BYTES)] * 5)


def _to_nowhere(body: bytes) -> Publication:
    return Publication(
        exchange="", routing_key="", body=body, is_mandatory=False, is_persistent=False
    )
