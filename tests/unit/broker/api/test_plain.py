"""Plain messages at the door: whom their answers go to, and what cannot be answered."""

import json
import time
from collections.abc import Generator
from typing import Any, cast

import pytest
from msgspec.structs import replace

from resonate_broker.api.plain import PlainDoor
from resonate_broker.integration.invocation import Invoke
from resonate_broker.integration.tokens import Tokens
from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.amqp.splitter import Delivery
from resonate_sdk.protocol.addresses import CeleryReplyAddress
from resonate_sdk.protocol.envelope import Decoded, Malformed
from resonate_sdk.protocol.requests import PromiseSettle
from resonate_sdk.protocol.topology import Names

SAID_AT_MS = 1_767_225_600_000
TASK = {"task": "price", "id": "order-1"}
CALL = {"resonate-func": "price", "resonate-target": "shop"}
NOBODY = cast(Consumer, None)  # nothing is acknowledged here


def delivered(headers: dict[str, Any], body: Any, reply_to: str | None = None) -> Delivery:
    return Delivery(
        tag=1,
        body=json.dumps(body).encode(),
        is_redelivered=False,
        exchange="ns.submit",
        routing_key="invoke",
        kind=None,
        correlation_id="c1",
        reply_to=reply_to,
        message_id="order-1",
        user_id=None,
        headers=headers,
    )


@pytest.fixture
def door() -> PlainDoor:
    return PlainDoor(Names("ns"), "shop-[0-9]+", Tokens("secret"))


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("queue", ["shop-1.dead", "a-shop-1", "ns.dead", "ns.submit.p00"])
def test_a_queue_of_which_only_a_part_may_be_replied_to_gets_nothing(door: PlainDoor, queue: str):
    call = door.invocation(NOBODY, delivered(CALL, "pot", queue))
    task = door.invocation(NOBODY, delivered(TASK, [[], {}, {}], queue))

    (refused,), (taken,) = call.items, task.items
    assert isinstance(refused, Malformed)
    assert f"reply_to {queue!r} is not allowed" in refused.reason
    assert isinstance(taken, Decoded)  # a producer of Celery names one in any case
    assert [each.asker and each.asker.reply_to for each in (call, task)] == [None, None]


@pytest.mark.parametrize("queue", ["shop-1", "ns.reply.me"])
def test_a_producer_of_celery_is_answered_where_that_is_allowed(door: PlainDoor, queue: str):
    task = door.invocation(NOBODY, delivered(TASK, [[], {}, {}], queue))

    assert task.asker is not None
    assert task.asker.reply_to == CeleryReplyAddress(queue, "c1")


@pytest.mark.usefixtures("far_from_utc")
@pytest.mark.parametrize(
    "eta", ["2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00", "2026-01-01T05:30:00+05:30"]
)
def test_an_eta_is_in_its_own_zone_and_without_one_in_utc(door: PlainDoor, eta: str):
    task = door.invocation(NOBODY, delivered({**TASK, "eta": eta}, [[], {}, {}]))

    (taken,) = task.items
    assert isinstance(taken, Decoded)
    assert isinstance(taken.request, Invoke)
    assert taken.request.start_at_ms == SAID_AT_MS


def test_a_reply_that_cannot_be_unpacked_rejects_the_call(door: PlainDoor):
    packed = replace(
        delivered({}, "pot"),
        content_encoding="lzma",
        correlation_id=Tokens("secret").make("order-1.1"),
    )

    (taken,) = door.reply(NOBODY, packed).items

    assert isinstance(taken, Decoded)
    assert isinstance(taken.request, PromiseSettle)
    assert (taken.request.id, taken.request.state) == ("order-1.1", "rejected")
