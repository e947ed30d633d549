"""C12: answers wait while the broker does not keep up, for as long as somebody may wait for them."""

from typing import Any, cast

from resonate_broker.api.replies import HELD_S_MAX, Replies, Reply
from resonate_sdk.amqp.publisher import Publication
from resonate_sdk.amqp.session import Session
from resonate_sdk.protocol.responses import OK, Answer, Nothing


class Broker:
    """A session and its publisher."""

    waiting_bytes = unconfirmed_s = 0

    def __init__(self) -> None:
        self.publisher = self
        self.unconfirmed = 0
        self.published: list[str | None] = []

    def publish(self, publication: Publication) -> None:
        self.published.append(publication.correlation_id)

    def session(self, *, is_congested: bool = False) -> Session:
        self.unconfirmed = 1_000_000 if is_congested else 0
        return cast(Session, cast(Any, self))


def reply(id: str) -> Reply:
    return Reply(
        reply_to="client",
        is_array=False,
        amqp_correlation_id=id,
        kind="task.release",
        correlation_id=id,
        answer=Answer(OK, Nothing()),
        now_ms=1,
    )


def test_answers_wait_while_the_broker_does_not_keep_up_and_leave_in_order():
    broker, replies = Broker(), Replies()
    replies.add(reply("1"))
    replies.flush(broker.session(is_congested=True), 100.0)
    replies.add(reply("2"))
    replies.flush(None, 101.0)
    assert broker.published == []

    replies.flush(broker.session(), 100.0 + HELD_S_MAX)

    assert broker.published == ["1", "2"]


def test_an_answer_that_has_waited_longer_than_anybody_does_is_dropped():
    broker, replies = Broker(), Replies()
    replies.add(reply("1"))
    replies.flush(None, 100.0)
    replies.add(reply("2"))
    replies.flush(None, 101.0)

    replies.flush(broker.session(), 100.5 + HELD_S_MAX)

    assert broker.published == ["2"]
