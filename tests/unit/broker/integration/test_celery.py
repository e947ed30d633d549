import base64
import json
import pickle
from typing import Any

import pytest

from resonate_broker import rules
from resonate_broker.integration import celery, results
from resonate_broker.integration.plain import NotPlainError
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.failures import encode_failure
from resonate_sdk.functions.call_envelope import encode_call
from resonate_sdk.protocol.addresses import CeleryReplyAddress
from resonate_sdk.protocol.records import PromiseRecord, Value
from tests.unit.broker.builders import NOW, make_promise

HEADERS = {"task": "price", "id": "order-1", "lang": "py", "eta": None, "retries": 0}
EXPIRES = "2026-01-01T00:00:00+00:00"


def asked(*args: Any, **kwargs: Any) -> PromiseRecord:
    return rules.record(make_promise(param=encode_call(Codec(), "shop.price", 1, args, kwargs)))


def stored(value: Value | None) -> Any:
    assert value is not None
    return None if value.data is None else json.loads(base64.b64decode(value.data))


def read(body: Any = (["pot"], {"count": 2}, {}), **headers: Any):
    return celery.read(json.dumps(body).encode(), HEADERS | headers, None, int)


def reply(status: str, result: Any) -> bytes:
    return json.dumps({"task_id": "seal.p", "status": status, "result": result}).encode()


def test_a_call_is_a_task_that_keeps_its_id_when_it_is_tried_again():
    message = celery.call(asked("pot", count=2), "seal.p", EXPIRES)

    embedded = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    assert json.loads(message.body) == [["pot"], {"count": 2}, embedded]
    assert (message.headers["task"], message.headers["id"]) == ("shop.price", "seal.p")
    assert message.headers["root_id"] == "p"
    assert (message.headers["expires"], message.headers["ignore_result"]) == (EXPIRES, False)


@pytest.mark.parametrize(
    ("body", "state", "value"),
    [
        (reply("SUCCESS", {"price": 3}), "resolved", {"price": 3}),
        (reply("SUCCESS", None), "resolved", None),
        (
            reply("FAILURE", {"exc_type": "KeyError", "exc_message": ["a", 1]}),
            "rejected",
            {"__type": "error", "message": "a, 1", "lang": "amqp", "name": "KeyError"},
        ),
        (
            reply("REVOKED", None),
            "rejected",
            {"__type": "error", "message": "the task has ended as REVOKED", "lang": "amqp"},
        ),
        (
            pickle.dumps({"status": "SUCCESS", "result": 3}),
            "rejected",
            {
                "__type": "error",
                "message": "the result of the task cannot be read: the worker needs "
                "result_serializer = 'json' (JSON is malformed: invalid character (byte 0))",
                "lang": "amqp",
            },
        ),
    ],
)
def test_the_end_of_a_task_settles_its_promise(body: bytes, state: str, value: Any):
    settlement = celery.settlement("p", body)

    assert settlement is not None
    assert (settlement.id, settlement.state, stored(settlement.value)) == ("p", state, value)


def test_an_error_as_deep_as_can_be_read_rejects_and_is_not_raised():
    for depth in range(700, 1_000):
        deep = b'{"task_id":"p","status":"FAILURE","result":{"exc_type":"E","exc_message":['
        body = deep + b"[" * depth + b"1" + b"]" * depth + b"]}}"
        settlement = celery.settlement("p", body)

        assert settlement is not None
        assert settlement.state == "rejected"


@pytest.mark.parametrize("status", ["STARTED", "RETRY", "PENDING", "PROGRESS"])
def test_a_task_that_goes_on_settles_nothing(status: str):
    assert celery.settlement("p", reply(status, {"pid": 1})) is None


def test_an_instant_before_1970_is_the_first_that_can_be_stored():
    request = read(expires="-5")

    assert request.ends_at_ms(NOW) == 0


def test_a_task_of_a_producer_is_an_invocation():
    request = read(**{"resonate-target": "shop", "eta": "5000", "expires": "9000"})

    assert (request.id, request.func, request.target) == ("order-1", "price", "amqp://any@shop")
    assert (request.begins_at_ms(NOW), request.begins_at_ms(0)) == (NOW, 5_000)
    assert request.ends_at_ms(0) == 9_000
    assert stored(request.call) == {
        "func": "price",
        "args": ["pot"],
        "kwargs": {"count": 2},
        "version": 1,
    }


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        ({"args": []}, {}, "is not [args, kwargs, embedded]"),
        ((["pot"], {}), {}, "is not [args, kwargs, embedded]"),
        (([], {}, {"chain": [{}], "chord": None}), {}, "the task has chain"),
        (([], {}, None), {"eta": "9", "expires": "5"}, "expires before its eta"),
        (([], {}, None), {"eta": "soon"}, "soon"),
        (([], {}, None), {"eta": 17}, "the header eta is no instant"),
        (([], {}, None), {"id": "x" * 2_000}, "the limit is 1024"),
        (([], {}, None), {"resonate-traget": "shop"}, "'resonate-traget' is not known"),
    ],
)
def test_what_cannot_be_an_execution_is_said(body: Any, headers: dict[str, Any], reason: str):
    with pytest.raises(NotPlainError) as error:
        read(body, **headers)

    assert reason in str(error.value)


def told(**fields: Any) -> dict[str, Any]:
    to = CeleryReplyAddress("q", "order-1")
    promise = rules.record(make_promise("order-1", **fields))
    return json.loads(results.told(to, promise).body)


def test_a_result_is_what_a_result_backend_expects():
    document = told(state="resolved", value=Codec().encode({"price": 3}))

    assert document == {
        "task_id": "order-1",
        "status": "SUCCESS",
        "result": {"price": 3},
        "traceback": None,
        "children": [],
    }


@pytest.mark.parametrize(
    ("fields", "name", "message"),
    [
        (
            {"state": "rejected", "value": encode_failure(Codec(), LookupError("no pot"))},
            "LookupError",
            "no pot",
        ),
        ({"state": "rejected_canceled"}, "CanceledError", "was canceled"),
        ({"state": "rejected_timedout"}, "TimedOutError", "has timed out"),
        ({"state": "rejected"}, "ResonateError", "rejected"),
    ],
)
def test_a_failure_is_an_exception_for_celery(fields: dict[str, Any], name: str, message: str):
    document = told(**fields)

    assert (document["status"], document["result"]["exc_type"]) == ("FAILURE", name)
    assert message in document["result"]["exc_message"][0]
