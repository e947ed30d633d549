"""What a publisher knows of its messages, on a wire that was given no socket."""

import asyncio

import pamqp.frame
from pamqp import commands

from resonate_sdk.amqp.publisher import Publication, Publisher, RefusedError
from resonate_sdk.amqp.session import SessionLostError
from resonate_sdk.amqp.under_way import NOTHING
from resonate_sdk.amqp.wire import Wire
from tests.unit.sdk import virtual_time

CHANNEL = 3


class Line:
    """A publisher, and the end of its wire at which the broker would be."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.publisher = Publisher(self.wire, channel=CHANNEL, frame_bytes_max=4_096)

    def publish(self, body: bytes = b"") -> "asyncio.Future[None]":
        return self.publisher.publish(Publication(exchange="", routing_key="x", body=body))

    def confirm(self, tag: int, *, multiple: bool = False) -> None:
        self._receive(commands.Basic.Ack(tag, multiple))

    def refuse(self, tag: int) -> None:
        self._receive(commands.Basic.Nack(tag, multiple=False, requeue=False))

    def _receive(self, method: commands.Basic.Ack | commands.Basic.Nack) -> None:
        self.wire.data_received(pamqp.frame.marshal(method, CHANNEL))


def test_the_age_of_what_is_under_way_is_that_of_the_oldest_message():
    async def main() -> list[float]:
        line = Line()
        found = [line.publisher.under_way.oldest_s]
        for _ in range(3):
            line.publish()
            await virtual_time.elapse(2)
        found.append(line.publisher.under_way.oldest_s)
        for tag in (2, 1, 3):
            line.confirm(tag)
            found.append(line.publisher.under_way.oldest_s)
        return found

    assert virtual_time.run(main()) == [0, 6, 6, 2, 0]


async def test_what_is_under_way_is_counted_until_the_broker_has_answered():
    line = Line()
    assert line.publisher.under_way == NOTHING
    first, second, third, fourth = (line.publish() for _ in range(4))
    assert line.publisher.under_way.messages == 4

    line.refuse(3)
    assert line.publisher.under_way.messages == 3
    line.confirm(2, multiple=True)
    assert line.publisher.under_way.messages == 1

    assert [future.done() for future in (first, second, third, fourth)] == [True, True, True, False]
    assert [future.exception() for future in (first, second)] == [None, None]
    assert isinstance(third.exception(), RefusedError)


async def test_after_the_end_nothing_is_under_way():
    line = Line()
    before = line.publish()

    line.publisher.fail(SessionLostError("gone"))
    after = line.publish()

    assert line.publisher.under_way.messages == 0
    assert all(isinstance(one.exception(), SessionLostError) for one in (before, after))


async def test_bytes_are_under_way_until_the_connection_has_taken_them():
    line = Line()

    line.publish(b"x" * 10_000)

    unsent = line.publisher.under_way.unsent_bytes
    assert unsent == line.wire.waiting_bytes > 10_000
