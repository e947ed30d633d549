"""What one side writes, the other side reads."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from resonate_sdk.protocol import limits, messages, responses
from resonate_sdk.protocol.envelope import (
    Decoded,
    decode_answer,
    decode_body,
    decode_responses,
    encode_answer,
    encode_request,
    join,
    normalize,
)
from resonate_sdk.protocol.messages import Message
from resonate_sdk.protocol.requests import KINDS, PromiseGet, Request
from resonate_sdk.protocol.responses import Answer, Nothing, Redirected
from tests.unit.protocol import strategies

settings.register_profile("round trips", derandomize=True, max_examples=200, deadline=None)
often = settings(settings.get_profile("round trips"))


@often
@given(strategies.requests, strategies.texts, st.none() | strategies.ids)
def test_a_request_is_read_as_it_was_written(
    request: Request, correlation_id: str, chain: str | None
):
    body = encode_request(request, correlation_id, chain)

    (item,) = decode_body(body, may_debug=True).items

    assert isinstance(item, Decoded), item
    assert item.request == normalize(request)
    assert (item.kind, item.head.correlation_id, item.head.chain) == (
        request.kind,
        correlation_id,
        chain,
    )


@often
@given(st.lists(strategies.requests, min_size=1, max_size=5))
def test_requests_travel_together_as_they_would_alone(requests: list[Request]):
    encoded = [encode_request(request, str(n)) for n, request in enumerate(requests)]

    together = decode_body(join(encoded), may_debug=True)

    assert together.is_array
    assert together.items == tuple(decode_body(body, may_debug=True).items[0] for body in encoded)


@often
@given(st.data())
def test_an_answer_of_every_kind_is_read_as_it_was_written(data: st.DataObject):
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    answer = Answer(responses.OK, data.draw(strategies.successes[kind]))

    (received,) = decode_responses(encode_answer(kind, "c", answer))

    assert (received.kind, received.head.correlation_id) == (kind, "c")
    assert received.head.version == limits.VERSION
    assert decode_answer(received) == answer


@often
@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from([400, 403, 404, 409, 422, 500, 503]),
    strategies.texts,
)
def test_the_data_of_an_error_is_one_sentence_whatever_the_kind(
    kind: str, status: int, reason: str
):
    (received,) = decode_responses(encode_answer(kind, "c", Answer(status, reason)))

    assert bytes(received.data).startswith(b'"')
    assert decode_answer(received) == Answer(status, reason)


@often
@given(strategies.redirects)
def test_a_redirect_carries_a_preload(redirected: Redirected):
    answer = Answer(responses.REDIRECT, redirected)

    (received,) = decode_responses(encode_answer("task.suspend", "c", answer))

    assert decode_answer(received) == answer


def test_the_answers_to_an_array_are_an_array():
    body = join([encode_answer("task.release", str(n), Answer(200, Nothing())) for n in range(3)])

    received = decode_responses(body)

    assert [response.head.correlation_id for response in received] == ["0", "1", "2"]


@pytest.mark.parametrize("body", [b"", b"nonsense", b"{}", b"[{}]", b'[{"kind":"x"}]', b"5"])
def test_what_is_no_answer_is_refused(body: bytes):
    with pytest.raises(msgspec.DecodeError):
        decode_responses(body)


@pytest.mark.parametrize(
    ("kind", "status", "data"),
    [
        ("promise.get", 200, "text"),
        ("promise.get", 200, {}),
        ("promise.get", 404, {}),
        ("task.suspend", 300, {}),
        ("no.such.kind", 200, {}),
    ],
)
def test_data_that_does_not_fit_kind_and_status_is_refused(kind: str, status: int, data: object):
    head = {"corrId": "c", "status": status, "version": limits.VERSION}
    body = json.dumps({"kind": kind, "head": head, "data": data}).encode()
    (received,) = decode_responses(body)

    with pytest.raises(msgspec.DecodeError):
        decode_answer(received)


@often
@given(strategies.messages)
def test_a_message_is_read_as_it_was_written(message: Message):
    assert messages.decode(messages.encode(message)) == message
    assert messages.decode_several(messages.encode(message)) == [message]
    assert messages.decode_several(messages.encode([message, message])) == [message, message]


def test_every_kind_has_the_data_of_its_answer():
    assert set(responses.DATA) == set(KINDS) == set(strategies.successes)


def shape(kind: str, answer: Answer) -> Any:
    return json.loads(encode_answer(kind, "c", answer))["data"]


def test_an_empty_value_is_an_empty_object_and_absent_keys_are_left_out():
    body = json.loads(encode_request(PromiseGet(id="p"), "c"))

    assert body == {
        "kind": "promise.get",
        "head": {"corrId": "c", "version": limits.VERSION},
        "data": {"id": "p"},
    }
    assert shape("task.release", Answer(200, Nothing())) == {}


@often
@given(strategies.promise_records)
def test_a_promise_is_shown_with_the_names_of_the_protocol(record: Any):
    shown = shape("promise.get", Answer(200, responses.PromiseData(promise=record)))["promise"]

    always = {"id", "state", "param", "value", "tags", "timeoutAt", "createdAt"}
    assert set(shown) == always | ({"settledAt"} if record.settled_at_ms is not None else set())


@often
@given(strategies.task_records)
def test_a_task_is_shown_with_the_names_of_the_protocol(record: Any):
    shown = shape("task.get", Answer(200, responses.TaskData(task=record)))["task"]

    optional = {
        name
        for name, value in (
            ("ttl", record.lease_ms),
            ("pid", record.pid),
            ("details", record.details),
        )
        if value is not None
    }
    assert set(shown) == {"id", "state", "version", "resumes"} | optional
