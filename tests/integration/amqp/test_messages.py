"""What a server sends to groups: not to a broker that does not keep up, and to queues that are there."""

from collections.abc import Callable

import pytest

from resonate_broker.aio.messages import MessageSubsystem
from resonate_broker.kernel.meters import Meters
from resonate_broker.kernel.submissions import Outgoing
from resonate_sdk.amqp.session import Session
from resonate_sdk.protocol.messages import HintData, Invoke
from resonate_sdk.protocol.records import TaskRef
from resonate_sdk.protocol.topology import Names
from tests.integration.amqp.publishing import Congestion, many_bytes, many_messages

GROUP = "billing"
HINT = Outgoing(
    group=GROUP,
    pid=None,
    is_exclusive=False,
    message=Invoke(data=HintData(task=TaskRef(id="x", version=0))),
)


class Group:
    """The messages of a server to one group, and what the broker has of them."""

    def __init__(self, session: Session, names: Names) -> None:
        self.queue = names.task_queue(GROUP)
        self.messages = MessageSubsystem(names, Meters())
        self.messages.use(session)
        self._session = session

    async def send(self) -> int | None:
        """Send a hint; how many are in the queue then, None if there is none."""
        await self.messages.publish([HINT])
        count = await self._session.count(self.queue)
        return None if count is None else count.ready


@pytest.fixture
def group(session: Session, namespace: str) -> Group:
    return Group(session, Names(namespace))


async def test_a_queue_that_was_deleted_is_made_again_before_the_next_message(
    group: Group, session: Session
):
    assert [await group.send(), await group.send()] == [1, 2]
    await session.delete_queue(group.queue)

    assert await group.send() is None, "queues are not made for each message"
    assert [await group.send(), await group.send()] == [1, 2]


@pytest.mark.parametrize("congest", [many_messages, many_bytes])
async def test_nothing_is_published_while_the_broker_does_not_keep_up(
    group: Group, session: Session, congest: Callable[[Session], Congestion]
):
    congestion = congest(session)
    assert not group.messages.is_open
    under_way = group.messages.under_way.messages

    await group.messages.publish([HINT])
    assert session.publisher.under_way.messages == under_way

    await congestion.over()
    assert group.messages.is_open
    assert await group.send() == 1
