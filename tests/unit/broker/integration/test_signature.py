"""Who has published a plain message is recorded beside what it brought."""

import pytest

from resonate_broker.integration import invocation
from resonate_broker.integration.signature import signed, signed_body
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.envelope import Body, Decoded, RequestHead, decode_body
from resonate_sdk.protocol.records import Value
from resonate_sdk.protocol.requests import (
    CreateAction,
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    ScheduleCreate,
    SettleAction,
    TaskCreate,
    TaskFence,
    TaskFulfill,
)

HEADERS = {"resonate-func": "f", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
INVOKE = invocation.read(b"[1]", "m", HEADERS, None)
SETTLE = PromiseSettle(id="p", state="resolved", value=Value(data="MQ=="))


def test_the_publisher_of_an_invocation_stands_beside_the_call():
    request = signed(INVOKE, "shop")

    assert isinstance(request, invocation.Invoke)
    assert request.call.headers == {"traceparent": HEADERS["traceparent"], "resonate:user": "shop"}
    assert request.call.data == INVOKE.call.data


def test_who_settles_stands_beside_the_value():
    request = signed(SETTLE, "shop")

    assert isinstance(request, PromiseSettle)
    assert request.value == Value(data="MQ==", headers={"resonate:user": "shop"})


@pytest.mark.parametrize(
    "request_of",
    [
        lambda value: PromiseCreate(id="p", timeout_at_ms=9, param=value),
        lambda value: TaskCreate(
            pid="w",
            lease_ms=9,
            action=CreateAction(data=PromiseCreate(id="p", timeout_at_ms=9, param=value)),
        ),
        lambda value: TaskFence(
            id="t",
            version=1,
            action=SettleAction(data=PromiseSettle(id="p", state="resolved", value=value)),
        ),
        lambda value: TaskFulfill(
            id="p",
            version=1,
            action=SettleAction(data=PromiseSettle(id="p", state="resolved", value=value)),
        ),
        lambda value: PromiseSettle(id="p", state="resolved", value=value),
        lambda value: ScheduleCreate(
            id="s",
            cron="0 9 * * *",
            promise_id="s-{{.timestamp}}",
            promise_timeout_ms=9,
            promise_param=value,
        ),
    ],
    ids=["create", "task create", "fence", "fulfill", "settle", "schedule"],
)
def test_what_is_claimed_gives_way_to_what_is_verified(request_of):
    plain = Value(data="MQ==", headers={"x": "y"})
    claimed = Value(data="MQ==", headers={"x": "y", "resonate:user": "admin"})
    known = Value(data="MQ==", headers={"x": "y", "resonate:user": "shop"})

    assert signed(request_of(claimed), "shop") == request_of(known)
    assert signed(request_of(claimed), None) == request_of(plain)


def test_a_message_without_publisher_and_claims_is_left_as_it_is():
    body = Body(False, (Decoded("promise.settle", RequestHead(), SETTLE, b""),))

    assert signed_body(body, b"{}", None) is body
    assert signed_body(body, b'{"resonate:user": "admin"}', None) == body
    (item,) = signed_body(body, b"{}", "shop").items
    assert isinstance(item, Decoded)
    assert item.request == signed(SETTLE, "shop") != SETTLE
    assert signed(PromiseGet(id="p"), "shop") == PromiseGet(id="p")


@pytest.mark.parametrize("name", ["resonate:user", "\\u0072esonate:user", "resonate\\u003Auser"])
def test_a_claim_is_dropped_however_it_is_spelled(name):
    raw = (
        f'{{"kind": "promise.settle", "head": {{"version": "{limits.VERSION}"}}, "data": '
        f'{{"id": "p", "state": "resolved", "value": {{"headers": {{"{name}": "admin"}}}}}}}}'
    ).encode()
    body = decode_body(raw)
    (claimed,) = body.items
    assert isinstance(claimed, Decoded)
    assert isinstance(claimed.request, PromiseSettle)
    assert claimed.request.value.headers == {"resonate:user": "admin"}

    (item,) = signed_body(body, raw, None).items

    assert isinstance(item, Decoded)
    assert item.request == PromiseSettle(id="p", state="resolved")
