"""C14: whether heartbeats reach a server, from what it has seen of their queue."""

import pytest

from resonate_broker.api.heartbeats import is_heard
from resonate_sdk.amqp.session import QueueCount

EMPTY = QueueCount(ready=0, consumers=1)


def test_heartbeats_are_heard_while_none_waits():
    assert is_heard(EMPTY, is_taking=True, has_beats=False)


@pytest.mark.parametrize(
    "count", [None, QueueCount(ready=1, consumers=1)], ids=["no queue", "one waits"]
)
def test_nothing_is_heard_while_a_heartbeat_may_be_waiting(count: QueueCount | None):
    assert not is_heard(count, is_taking=True, has_beats=False)


def test_a_heartbeat_that_waits_for_the_kernel_is_not_heard():
    assert not is_heard(EMPTY, is_taking=True, has_beats=True)


def test_nothing_is_heard_while_the_broker_takes_no_messages():
    assert not is_heard(EMPTY, is_taking=False, has_beats=False)
