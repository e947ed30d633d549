import datetime
from typing import Any

import pytest

from resonate_broker.integration import dead_letters
from resonate_broker.integration.dead_letters import DeadLetter
from resonate_broker.integration.tokens import Tokens
from resonate_sdk.protocol.topology import Names

SUBMIT = "resonate.submit"
QUEUE = "resonate.submit.p00"


def died(had: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "reason": "the body is not JSON",
        "died_at_ms": 5_000,
        "exchange": SUBMIT,
        "routing_key": "invoke",
        "message_id": "order-1",
        "user_id": "shop",
    }
    return dict(dead_letters.headers(had, **(fields | overrides)))


def read(had: dict[str, Any], body: bytes = b"pot", **overrides: Any) -> DeadLetter:
    fields: dict[str, Any] = {
        "names": Names("resonate"),
        "queue": QUEUE,
        "kind": None,
        "message_id": None,
        "correlation_id": None,
        "user_id": None,
    }
    return dead_letters.read(body, had, **(fields | overrides))


def test_what_is_written_on_a_letter_is_read_from_it():
    letter = read(died({"resonate-func": "price", "x-shop": "north"}))

    assert (letter.reason, letter.died_at_ms) == ("the body is not JSON", 5_000)
    assert (letter.exchange, letter.routing_key) == (SUBMIT, "invoke")
    assert (letter.message_id, letter.user_id, letter.promise_id) == ("order-1", "shop", "order-1")
    assert letter.kept == {"resonate-func": "price", "x-shop": "north"}


def test_a_letter_that_died_again_remembers_the_first_time():
    first = read(died({}))
    again = read(died(dict(first.headers_again()), died_at_ms=9_000))

    assert (again.first_died_at_ms, again.died_at_ms) == (5_000, 9_000)


def test_an_event_of_a_trigger_is_sent_again_to_that_alone():
    queue = "resonate.trigger.orders"

    letter = read(died({}, exchange="shop", routing_key="order.paid"), queue=queue)

    assert (letter.exchange, letter.routing_key) == ("", queue)


def test_a_letter_has_one_name_and_another_letter_another():
    letter = read(died({}))

    assert read(died({"x-delivery-count": 7})).id == letter.id
    assert read(died({}, died_at_ms=5_001)).id != letter.id
    assert read(died({}), body=b"lid").id != letter.id


@pytest.mark.parametrize("letter", ["x", "é", "😀"])
def test_large_headers_are_left_out_since_the_broker_limits_them(letter: str):
    had = died({"x-large": letter * (dead_letters.KEPT_BYTES_MAX // len(letter.encode()))})

    assert "x-large" not in had
    assert had["resonate-reason"] == "the body is not JSON"


def test_what_a_publisher_writes_does_not_take_the_place_of_the_reason():
    assert died({"resonate-reason": "none of your business"})["resonate-reason"] == (
        "the body is not JSON"
    )


def test_a_long_reason_is_cut_since_the_broker_limits_headers():
    reason = died({}, reason="no" * dead_letters.REASON_CHARS_MAX)["resonate-reason"]

    assert len(reason) == dead_letters.REASON_CHARS_MAX


def test_values_that_are_no_text_or_number_are_left_out():
    assert "x-list" not in died({"x-list": [1]})


@pytest.mark.parametrize(
    ("body", "correlation_id", "promise_id"),
    [
        (b'{"kind": "promise.get", "data": {"id": "a"}}', None, "a"),
        (b'{"data": {"awaited": "b", "awaiter": "c"}}', None, "b"),
        (b"17", Tokens("s").make("order 1.1"), "order 1.1"),
        (b"garbage", "c1", None),
        (b"\xff", None, None),
    ],
    ids=["request", "callback", "reply", "garbage", "no text"],
)
def test_the_promise_that_a_letter_belongs_to(body, correlation_id, promise_id: str | None):
    had = died({}, routing_key="resonate.replies", message_id=None)

    assert read(had, body, correlation_id=correlation_id).promise_id == promise_id


def test_the_broker_says_why_it_gave_up_and_where():
    at = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    death = {
        "reason": "delivery_limit",
        "count": 3,
        "time": at,
        "exchange": SUBMIT,
        "routing-keys": ["promise.create"],
    }

    letter = read({"x-death": [death], "x-first-death-queue": QUEUE, "x-a": 1}, user_id="shop")

    assert letter.reason == "the broker gave it up: delivery_limit, 3 times"
    assert letter.died_at_ms == at.timestamp() * 1000
    assert (letter.exchange, letter.routing_key) == (SUBMIT, "promise.create")
    assert (letter.user_id, letter.kept) == ("shop", {"x-a": 1})


@pytest.mark.parametrize("had", [{}, {"x-death": 5}, {"x-death": [{}]}, {"resonate-reason": 3}])
def test_a_letter_without_a_word_can_be_read(had: dict[str, Any]):
    letter = read(had)

    assert letter.reason
    assert letter.died_at_ms is None
