"""C13: what has no version is not carried out again, long after it may have been."""

import pytest

from resonate_broker.api.repeats import is_too_late
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.requests import Request, TaskContinue, TaskGet, TaskHalt

SENT_AT_S = 1_767_225_600
SENT_AT_MS = SENT_AT_S * 1000
OLD_MS = SENT_AT_MS + limits.REPEAT_MS_MAX + 1
HALT = TaskHalt(id="t")


def delivered(*, is_redelivered: bool = True, sent_at_s: int | None = SENT_AT_S) -> Delivery:
    return Delivery(
        tag=1,
        body=b"",
        is_redelivered=is_redelivered,
        exchange="",
        routing_key="task.halt",
        kind=None,
        correlation_id=None,
        reply_to=None,
        message_id=None,
        user_id=None,
        headers={},
        sent_at_s=sent_at_s,
    )


@pytest.mark.parametrize("request_", [HALT, TaskContinue(id="t")], ids=["halt", "continue"])
@pytest.mark.parametrize("now_ms", [OLD_MS, None], ids=["old", "of unknown age"])
def test_an_old_repetition_without_a_version_comes_too_late(request_: Request, now_ms: int | None):
    assert is_too_late(request_, delivered(), now_ms)


def test_a_young_one_does_not():
    assert not is_too_late(HALT, delivered(), OLD_MS - 1)


def test_nor_does_what_has_arrived_for_the_first_time():
    assert not is_too_late(HALT, delivered(is_redelivered=False), OLD_MS)


def test_nor_what_has_a_version_or_changes_nothing():
    assert not is_too_late(TaskGet(id="t"), delivered(), OLD_MS)


def test_nor_what_does_not_say_when_it_was_sent():
    assert not is_too_late(HALT, delivered(sent_at_s=None), OLD_MS)
