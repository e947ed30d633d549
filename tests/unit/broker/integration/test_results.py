import json
from typing import Any

import pytest

from resonate_broker import rules
from resonate_broker.integration import plain, results
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.failures import decode_failure, encode_failure
from resonate_sdk.protocol.records import PromiseRecord, Value
from tests.unit.broker.builders import make_promise


def settled(state: str, value: Value | None = None) -> PromiseRecord:
    return rules.record(make_promise(state=state, value=value or Value()))


def told(state: str, value: Value | None = None) -> tuple[Any, dict[str, Any]]:
    message = results.result(settled(state, value))
    return json.loads(message.body), dict(message.headers)


@pytest.mark.parametrize("value", [None, 17, "text", [1], {"a": 1}])
def test_the_body_of_a_result_is_its_value(value: Any):
    body, headers = told("resolved", Codec().encode(value))

    assert body == value
    assert headers == {"resonate-promise": "p", "resonate-state": "resolved"}


def test_a_failure_says_so_in_a_header_and_the_body_is_the_error():
    body, headers = told("rejected", encode_failure(Codec(), ValueError("too dear")))

    assert (headers["resonate-state"], headers["resonate-error"]) == ("rejected", "too dear")
    assert (body["name"], body["message"]) == ("ValueError", "too dear")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("rejected_canceled", "promise 'p' was canceled"),
        ("rejected_timedout", "promise 'p' has timed out"),
        ("rejected", "rejected"),
    ],
)
def test_what_has_no_value_of_its_own_is_told_in_words(state: str, reason: str):
    body, headers = told(state)

    assert (headers["resonate-state"], headers["resonate-error"]) == (state, reason)
    assert body["message"] == reason


def test_a_rejection_with_any_value_keeps_it():
    body, headers = told("rejected", Codec().encode({"code": 5}))

    assert body == {"code": 5}
    assert headers["resonate-error"] == "promise 'p' was rejected with a value"


def test_an_encrypted_value_travels_as_it_is_stored():
    body, headers = told("resolved", Value(data="c2VjcmV0", headers={"resonate:enc": "aes"}))

    assert (body, headers["resonate-encryption"]) == ("c2VjcmV0", "aes")


@pytest.mark.parametrize("state", ["resolved", "rejected"])
def test_a_value_that_nobody_can_read_is_an_error(state: str):
    body, headers = told(state, Value(data="no base64"))

    assert "not base64 of JSON" in headers["resonate-error"]
    assert body["__type"] == "error"


def test_a_refusal_has_a_status_and_a_reason():
    message = results.refused(400, "the body is not JSON")

    assert message.headers["resonate-status"] == 400
    assert message.headers["resonate-error"] == "the body is not JSON"


def test_a_failure_of_ours_is_one_for_the_sdk():
    value = plain.stored(plain.failure("no such item", "ItemError"))

    error = decode_failure(Codec(), settled("rejected", value))

    assert str(error) == "no such item"
