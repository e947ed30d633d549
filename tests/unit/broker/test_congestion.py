"""When the broker does not keep up."""

import pytest

from resonate_broker.congestion import (
    CONFIRM_TIMEOUT_S,
    UNCONFIRMED_MAX,
    UNSENT_BYTES_MAX,
    is_congested,
)
from resonate_sdk.amqp.under_way import NOTHING, UnderWay

MOST = UnderWay(messages=UNCONFIRMED_MAX, oldest_s=CONFIRM_TIMEOUT_S, unsent_bytes=UNSENT_BYTES_MAX)


def test_a_broker_keeps_up_while_nothing_is_above_its_limit():
    assert not is_congested(NOTHING)
    assert not is_congested(MOST)


@pytest.mark.parametrize(
    "under_way",
    [
        UnderWay(messages=UNCONFIRMED_MAX + 1, oldest_s=0.0, unsent_bytes=0),
        UnderWay(messages=1, oldest_s=CONFIRM_TIMEOUT_S + 0.1, unsent_bytes=0),
        UnderWay(messages=1, oldest_s=0.0, unsent_bytes=UNSENT_BYTES_MAX + 1),
    ],
    ids=["too many messages", "too old a message", "too many bytes"],
)
def test_one_thing_above_its_limit_is_enough(under_way: UnderWay):
    assert is_congested(under_way)
