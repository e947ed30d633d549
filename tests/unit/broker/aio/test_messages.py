"""What a server does with a broker that does not keep up, or has lost the queue of a group."""

import asyncio
from typing import Any, cast

import pytest

from resonate_broker.aio.messages import (
    CONFIRM_TIMEOUT_S,
    UNCONFIRMED_MAX,
    WAITING_BYTES_MAX,
    MessageSubsystem,
)
from resonate_broker.kernel.meters import Meters
from resonate_broker.kernel.submissions import Outgoing
from resonate_sdk.amqp.publisher import Publication, ReturnedError
from resonate_sdk.amqp.session import Session
from resonate_sdk.protocol.messages import HintData, Invoke
from resonate_sdk.protocol.records import TaskRef
from resonate_sdk.protocol.topology import Names, Topology


class Broker:
    """A session and its publisher; a message comes back while there is no queue."""

    def __init__(self) -> None:
        self.publisher = self
        self.unconfirmed = self.waiting_bytes = 0
        self.unconfirmed_s = 0.0
        self.has_queue = True
        self.done: list[str] = []

    async def declare(self, topology: Topology) -> None:
        self.done.append("declared")
        self.has_queue = True

    def publish(self, publication: Publication) -> "asyncio.Future[None]":
        confirmed = asyncio.get_running_loop().create_future()
        self.done.append("published")
        if self.has_queue:
            confirmed.set_result(None)
        else:
            confirmed.set_exception(ReturnedError("no queue"))
        return confirmed


def subsystem(broker: Broker) -> MessageSubsystem:
    messages = MessageSubsystem(Names("n"), Meters())
    messages.use(cast(Session, cast(Any, broker)))
    return messages


def hint() -> Outgoing:
    message = Invoke(data=HintData(task=TaskRef(id="x", version=0)))
    return Outgoing(group="g", pid=None, is_exclusive=False, message=message)


async def test_a_queue_that_was_deleted_is_made_again_before_the_next_message():
    broker = Broker()
    messages = subsystem(broker)
    await messages.publish([hint()])
    await messages.publish([hint()])
    broker.has_queue = False

    await messages.publish([hint()])
    await messages.publish([hint()])

    assert broker.done == ["declared", *["published"] * 3, "declared", "published"]


@pytest.mark.parametrize(
    ("what", "most"),
    [
        ("unconfirmed", UNCONFIRMED_MAX),
        ("waiting_bytes", WAITING_BYTES_MAX),
        ("unconfirmed_s", CONFIRM_TIMEOUT_S),
    ],
)
async def test_nothing_is_published_while_the_broker_does_not_keep_up(what: str, most: float):
    broker = Broker()
    messages = subsystem(broker)
    setattr(broker, what, most + 1)

    await messages.publish([hint()])
    assert (messages.is_open, broker.done) == (False, [])

    setattr(broker, what, most)
    await messages.publish([hint()])
    assert (messages.is_open, broker.done) == (True, ["declared", "published"])
