import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies

from resonate_broker.integration.invocation import (
    Invoke,
    is_invocation,
    read,
    wants_acknowledgement,
)
from resonate_broker.integration.plain import NotPlainError
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.functions.call_envelope import decode_call
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.addresses import ReplyAddress

HOUR_MS = 3_600_000
JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=8,
)


def invocation(body: bytes = b"[]", message_id: str | None = "a", **headers: Any) -> Invoke:
    """What is read of a message; headers without their prefix."""
    named = {f"resonate-{name}": text for name, text in ({"func": "f"} | headers).items()}
    return read(body, message_id, named, None)


def arguments(body: bytes) -> tuple[list[Any], dict[str, Any]]:
    """What the SDK calls the function with."""
    call = decode_call(Codec(), invocation(body).call)
    return call.args, call.kwargs


@pytest.mark.parametrize("key", ["invoke", "p00.invoke", "p17.invoke"])
def test_the_routing_key_tells_an_invocation(key: str):
    assert is_invocation(key)


@pytest.mark.parametrize("key", ["", "promise.create", "p0.invoke", "invoke.x", "xinvoke"])
def test_other_keys_carry_envelopes(key: str):
    assert not is_invocation(key)


@pytest.mark.parametrize(
    ("body", "args", "kwargs"),
    [
        (b'["a", 2]', ["a", 2], {}),
        (b'{"item": "a"}', [], {"item": "a"}),
        (b'"a"', ["a"], {}),
        (b"17", [17], {}),
        (b"null", [None], {}),
        (b"[[1]]", [[1]], {}),
        (b"[]", [], {}),
        (b"", [], {}),
    ],
)
def test_a_list_is_by_position_an_object_by_name_all_else_one_value(body, args, kwargs):
    assert arguments(body) == (args, kwargs)


@given(JSON)
def test_every_json_value_reaches_the_function_unchanged(value: Any):
    body = json.dumps([value]).encode()

    assert json.loads(base64.b64decode(invocation(body).call.data or ""))["args"] == [value]


def test_the_call_is_stored_as_the_sdk_stores_it():
    call = decode_call(Codec(), invocation(b'["a"]', func="shop.price", version=3).call)

    assert (call.func, call.version) == ("shop.price", 3)


def test_what_is_not_said_has_a_default():
    request = invocation()

    assert request.target == "amqp://any@default"
    assert (request.timeout_ms, request.delay_ms) == (limits.PROMISE_TIMEOUT_MS_DEFAULT, 0)


@pytest.mark.parametrize("text", ["1h30m", "5400000", 5_400_000])
def test_a_duration_is_text_or_whole_milliseconds(text: str | int):
    request = invocation(timeout=text, delay=text)

    assert request.timeout_ms == request.delay_ms == HOUR_MS * 3 // 2


def test_the_promise_is_the_root_of_a_tree():
    own = invocation(target="prices", delay="1s").tags(5_000)

    assert own[tags.TARGET] == "amqp://any@prices"
    assert own[tags.DELAY] == "6000"
    assert own[tags.FUNCTION] == "f@1"
    assert own[tags.ORIGIN] == own[tags.BRANCH] == own[tags.PARENT] == own[tags.PREFIX] == "a"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"message_id": None}, "message_id is missing"),
        ({"message_id": ""}, "message_id is missing"),
        ({"message_id": "a\x00"}, "message_id 'a\\x00' holds a NUL"),
        ({"body": b"{"}, "the body is not JSON"),
        ({"body": b"\xff"}, "the body is not JSON"),
        ({"body": b'"\\ud800"'}, "the body is not JSON"),
        ({"body": b"[" * 10_000}, "the body is not JSON"),
        ({"body": b'"' + b"x" * limits.VALUE_BYTES_MAX + b'"'}, "the limit is 1048576"),
        ({"body": b"x" * (limits.MESSAGE_BYTES_MAX + 1)}, "the limit is 4194304"),
        ({"func": None}, "resonate-func must name a function"),
        ({"func": ""}, "resonate-func must name a function"),
        ({"func": 17}, "resonate-func must name a function"),
        ({"target": "a b"}, "resonate-target: 'a b' is no address"),
        ({"target": 1}, "resonate-target must be text"),
        ({"timeout": "soon"}, "resonate-timeout: 'soon' is no duration: write 500ms"),
        ({"timeout": 0}, "resonate-timeout is 0, a duration is positive"),
        ({"timeout": True}, "resonate-timeout is no duration"),
        (
            {"timeout": 90.0},
            "resonate-timeout is no duration: 90.0; write whole milliseconds, as 90000, or a text",
        ),
        ({"delay": Decimal("1.5")}, "resonate-delay is no duration: Decimal('1.5'); write whole"),
        ({"delay": -1}, "resonate-delay is -1"),
        ({"delay": 2**62}, "resonate-delay is"),
        ({"version": 0}, "resonate-version is a number from 1 on"),
        ({"version": "new"}, "resonate-version is a number from 1 on"),
        ({"key": 17}, "resonate-key must be text"),
        ({"key": "x" * 1_025}, "resonate-key: tag 'resonate:key' has 1025 bytes"),
        (
            {"priority": 10},
            "resonate-priority: a priority is a number from 0 to 9, 9 goes first, found '10'",
        ),
        ({"priority": True}, "resonate-priority: a priority is a number from 0 to 9"),
        ({"acknowledge": "perhaps"}, "resonate-acknowledge is true or false"),
        ({"timeuot": "1h"}, "'resonate-timeuot' is not known"),
    ],
)
def test_what_is_wrong_is_refused_in_a_sentence(change: dict[str, Any], reason: str):
    with pytest.raises(NotPlainError) as refusal:
        invocation(**change)

    assert reason in str(refusal.value)


@pytest.mark.parametrize("priority", [7, "7"])
def test_key_and_priority_are_tags_that_limits_look_at(priority: int | str):
    tagged = invocation(key="north", priority=priority).tags(0)

    assert (tagged[tags.KEY], tagged[tags.PRIORITY]) == ("north", "7")
    assert not {tags.KEY, tags.PRIORITY} & invocation().tags(0).keys()


def test_headers_of_others_are_left_alone():
    read(b"[]", "a", {"resonate-func": "f", "traceparent": "00-…", "x-tries": 3}, None)


@pytest.mark.parametrize(
    ("headers", "is_wanted"),
    [
        ({}, False),
        ({"resonate-acknowledge": "true"}, True),
        ({"resonate-acknowledge": False}, False),
    ],
)
def test_an_acknowledgement_is_wanted_by_who_says_so(headers: dict[str, Any], is_wanted: bool):
    assert wants_acknowledgement(headers) is is_wanted


def test_who_waits_is_part_of_the_request():
    to = ReplyAddress("amq.gen-x", "c1")

    assert read(b"", "a", {"resonate-func": "f"}, to).reply_to == to


def test_the_trace_of_the_publisher_travels_with_the_call():
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"resonate-func": "f", "traceparent": parent, "tracestate": "a=1"}

    invoke = read(b"[]", "a", headers, None)

    assert invoke.call.headers == {"traceparent": parent, "tracestate": "a=1"}
    assert read(b"[]", "a", headers | {"traceparent": "no"}, None).call.headers is None
