"""What a worker is told about the way of a hint."""

import pytest

from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.amqp.subscription import Subscription
from resonate_sdk.protocol.messages import HintData, Invoke
from resonate_sdk.protocol.records import TaskRef
from resonate_sdk.protocol.topology import Names
from resonate_sdk.transport import Arrival

HINT = Invoke(data=HintData(task=TaskRef(id="x", version=0)))


class Receiver:
    def __init__(self):
        self.arrivals: list[Arrival] = []

    def on_hint(self, hint, slot):
        self.arrivals.append(slot.arrival)

    def on_notify(self, promise): ...

    def on_reconnect(self): ...

    def on_broken(self, error): ...


def make_delivery(*, is_redelivered=False, headers=None):
    return Delivery(
        tag=1,
        body=b"",
        is_redelivered=is_redelivered,
        exchange="",
        routing_key="",
        kind="task.invoke",
        correlation_id=None,
        reply_to=None,
        message_id=None,
        user_id=None,
        headers=headers or {},
    )


@pytest.mark.parametrize(
    ("delivery", "server_now_ms", "arrival"),
    [
        (make_delivery(), 5, Arrival(server_now_ms=5)),
        (make_delivery(), None, Arrival()),
        (make_delivery(is_redelivered=True), None, Arrival(is_redelivered=True)),
        (make_delivery(headers={"x-death": []}), None, Arrival(is_dead_lettered=True)),
    ],
)
async def test_a_hint_says_how_it_has_come(delivery, server_now_ms, arrival):
    receiver = Receiver()
    subscription = Subscription(Names("n"), "g", "me", 1, receiver, lambda: server_now_ms)

    subscription.offer(HINT, delivery)

    assert receiver.arrivals == [arrival]
