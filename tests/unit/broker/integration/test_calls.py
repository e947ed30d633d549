import json
from typing import Any

import pytest
from hypothesis import given, strategies
from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.integration import calls
from resonate_broker.integration.plain import NotPlainError
from resonate_broker.integration.tokens import Called, Tokens
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.failures import decode_failure
from resonate_sdk.functions.call_envelope import encode_call
from resonate_sdk.protocol import addresses, limits
from resonate_sdk.protocol.addresses import AddressError, ExchangeAddress
from resonate_sdk.protocol.records import PromiseRecord, Value
from tests.unit.broker.builders import DEADLINE, make_promise

TOKENS = Tokens("of this namespace")


def promise(*args: Any, **kwargs: Any) -> PromiseRecord:
    return rules.record(make_promise(param=encode_call(Codec(), "quote", 1, args, kwargs)))


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        (promise("pot"), "pot"),
        (promise(["pot", "lid"]), ["pot", "lid"]),
        (promise("pot", 2), ["pot", 2]),
        (promise(item="pot"), {"item": "pot"}),
        (promise(), None),
    ],
    ids=["one", "one list", "several", "by name", "none"],
)
def test_the_body_of_a_call_is_its_arguments(asked: PromiseRecord, body: Any):
    message = calls.message(asked)

    assert json.loads(message.body) == body
    assert message.headers == {
        "resonate-promise": "p",
        "resonate-func": "quote",
        "resonate-deadline": DEADLINE,
    }


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (promise("pot", count=2), "by position and by name"),
        (
            rules.record(make_promise(param=encode_call(Codec(), "f" * 1_025, 1, (), {}))),
            "1025 bytes, a header of a message has room for 1024",
        ),
        (rules.record(make_promise()), "holds no call"),
        (rules.record(make_promise(param=Value(data="MTc="))), "holds no call"),
        (
            rules.record(make_promise(param=Value(data="AA==", headers={"resonate:enc": "x"}))),
            "enc",
        ),
    ],
)
def test_what_has_no_plain_form_is_refused_with_the_reason(asked: PromiseRecord, reason: str):
    with pytest.raises(NotPlainError, match=reason):
        calls.message(asked)


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b'{"a": [1]}', "application/json", {"a": [1]}),
        (b"17", None, 17),
        (b"17", "text/plain", "17"),
        ("für dich".encode(), "text/plain; charset=utf-8", "für dich"),
        (b"no JSON", None, "no JSON"),
        (b"\xff\x00", "application/octet-stream", "/wA="),
        (b"", None, None),
        (b"null", "application/json", None),
    ],
)
def test_a_reply_becomes_the_value(body: bytes, content_type: str | None, value: Any):
    settlement = calls.settlement("p", body, content_type, {"x-any": 1})

    assert (settlement.id, settlement.state) == ("p", "resolved")
    assert Codec().decode(settlement.value) == value


@pytest.mark.parametrize(
    ("body", "content_type", "headers", "message"),
    [
        (b"", None, {"resonate-error": "sold out"}, "sold out"),
        (b'"anything"', None, {"resonate-error": "sold out"}, "sold out"),
        (
            b'{"__type": "error", "message": "none left"}',
            None,
            {"resonate-error": "x"},
            "none left",
        ),
        (
            b"{",
            "application/json",
            {},
            "the reply cannot be stored: it says it is JSON, and is not",
        ),
        (b"1" * limits.VALUE_BYTES_MAX, None, {}, "the limit is 1048576"),
    ],
)
def test_an_error_rejects_and_so_does_what_cannot_be_stored(body, content_type, headers, message):
    settlement = calls.settlement("p", body, content_type, headers)

    assert settlement.state == "rejected"
    rejected = rules.record(make_promise(state="rejected", value=settlement.value))
    assert message in str(decode_failure(Codec(), rejected))


@given(strategies.text(min_size=1, max_size=70))
def test_a_token_names_its_promise(promise_id: str):
    token = TOKENS.make(promise_id) if len(promise_id.encode()) < 70 else TOKENS.make("a")

    named = promise_id if len(promise_id.encode()) < 70 else "a"
    assert TOKENS.read(token) == Called(promise_id=named, by_celery=False)


def test_a_token_says_how_the_reply_is_worded():
    token = TOKENS.make("p", by_celery=True)

    assert TOKENS.read(token) == Called(promise_id="p", by_celery=True)
    assert token != TOKENS.make("p")


@pytest.mark.parametrize(
    "token", ["", "p", ".p", "0" * 32 + ".p", Tokens("other").make("p"), "é.p"]
)
def test_nobody_else_makes_a_token(token: str):
    assert TOKENS.read(token) is None


def test_a_token_is_of_one_promise_only():
    seal, _, _ = TOKENS.make("p").partition(".")

    assert TOKENS.read(f"{seal}.q") is None


def test_an_id_that_no_property_can_hold_is_refused():
    with pytest.raises(NotPlainError, match="the limit for calls of exchanges is 222"):
        TOKENS.make("x" * 223)


@pytest.mark.parametrize(
    ("text", "exchange", "key"),
    [
        ("amqp-exchange://orders/price.quote", "orders", "price.quote"),
        ("amqp-exchange:///quotes", "", "quotes"),
        ("amqp-exchange://orders/", "orders", ""),
        ("amqp-exchange://a%2Fb/c/d", "a/b", "c/d"),
    ],
)
def test_the_address_of_an_exchange(text: str, exchange: str, key: str):
    assert addresses.parse_target(text) == ExchangeAddress(exchange, key)
    assert addresses.normalize(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "amqp-exchange://",
        "amqp-exchange://orders",
        "amqp-exchange:///",
        f"amqp-exchange://{'x' * 256}/k",
    ],
)
def test_an_address_without_a_key_or_too_long_is_refused(text: str):
    with pytest.raises(AddressError):
        addresses.parse_target(text)


def test_nobody_listens_at_an_exchange():
    with pytest.raises(AddressError):
        addresses.parse("amqp-exchange://orders/price.quote")


def test_a_call_carries_the_trace_of_its_execution():
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    param = replace(promise("pot").param, headers={"traceparent": parent})

    message = calls.message(replace(promise("pot"), param=param))

    assert message.headers["traceparent"] == parent
