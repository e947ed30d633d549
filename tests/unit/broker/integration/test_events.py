import base64
import json
from typing import Any

import pytest

from resonate_broker.integration import events
from resonate_broker.integration.invocation import Invoke
from resonate_broker.integration.plain import NotPlainError
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import TriggerRecord, Value
from resonate_sdk.protocol.requests import PromiseSettle
from tests.unit.broker.builders import make_trigger


def read(trigger: TriggerRecord, body: bytes = b'{"id": 7}', **fields: Any):
    found: dict[str, Any] = {
        "message_id": "m-1",
        "correlation_id": None,
        "content_type": None,
        "headers": {},
    }
    return events.read(trigger, body, **(found | fields))


def stored(value: Value) -> Any:
    assert value.data is not None
    return json.loads(base64.b64decode(value.data))


@pytest.mark.parametrize(
    ("body", "argument"),
    [(b'{"id": 7}', {"id": 7}), (b"[1, 2]", [1, 2]), (b"plain", "plain"), (b"", None)],
)
def test_an_event_is_the_one_argument_of_a_call(body: bytes, argument: Any):
    request = read(make_trigger(promise_id="{{.message_id}}"), body)

    assert isinstance(request, Invoke)
    assert (request.id, request.target, request.timeout_ms) == ("m-1", "amqp://any@g", 60_000)
    assert stored(request.call) == {"func": "f", "args": [argument], "kwargs": {}, "version": 1}
    assert request.reply_to is None


@pytest.mark.parametrize(
    ("key", "priority", "wishes"),
    [
        (None, None, {}),
        ("shop", "7", {"resonate:key": "shop", "resonate:priority": "7"}),
        ("customer-{{.body.id}}", None, {"resonate:key": "customer-7"}),
        (None, "{{.headers.urgency}}", {"resonate:priority": "2"}),
    ],
    ids=["none", "constants", "a key by the body", "a priority by a header"],
)
def test_what_an_event_starts_has_the_key_and_priority_of_its_trigger(
    key: str | None, priority: str | None, wishes: dict[str, str]
):
    request = read(make_trigger(key=key, priority=priority), headers={"urgency": 2})

    assert isinstance(request, Invoke)
    own = request.tags(0)
    assert {name: own[name] for name in (tags.KEY, tags.PRIORITY) if name in own} == wishes


@pytest.mark.parametrize(
    ("templates", "reason"),
    [
        ({"key": "{{.body.customer}}"}, "has no {{.body.customer}}, which its key needs"),
        ({"key": "{{.body.text}}"}, "tag 'resonate:key' has 1025 bytes, the limit is 1024"),
        ({"priority": "{{.headers.urgency}}"}, "has no {{.headers.urgency}}, which its priority"),
        (
            {"priority": "{{.body.id}}"},
            "a priority is a number from 0 to 9, 9 goes first, found '17'",
        ),
    ],
    ids=["no key", "long key", "no priority", "high priority"],
)
def test_an_event_without_the_key_or_priority_of_its_trigger_says_why(
    templates: dict[str, str], reason: str
):
    body = json.dumps({"id": 17, "text": "x" * 1_025}).encode()

    with pytest.raises(NotPlainError) as error:
        read(make_trigger(**templates), body)

    assert reason in str(error.value)


def test_an_event_settles_the_promise_that_it_names():
    request = read(make_trigger(promise_id="p-{{.body.id}}", func=None, target=None))

    assert isinstance(request, PromiseSettle)
    assert (request.id, request.state, stored(request.value)) == ("p-7", "resolved", {"id": 7})


def test_an_event_with_an_error_header_rejects():
    trigger = make_trigger(promise_id="p", func=None, target=None)

    request = read(trigger, b"", headers={"resonate-error": "sold out"})

    assert isinstance(request, PromiseSettle)
    assert (request.state, stored(request.value)["message"]) == ("rejected", "sold out")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"message_id": None}, "has no {{.message_id}}"),
        ({"message_id": "x" * 2_000}, "2000 bytes, the limit is 1024"),
        ({"body": b"x" * 5_000_000}, "5000000 bytes, the limit is 4194304"),
        ({"body": b'"' + b"x" * 2_000_000 + b'"'}, "the limit is 1048576"),
    ],
    ids=["no id", "long id", "large message", "large value"],
)
def test_an_event_that_cannot_be_taken_says_why(fields: dict[str, Any], reason: str):
    with pytest.raises(NotPlainError) as error:
        read(make_trigger(promise_id="{{.message_id}}"), **fields)

    assert reason in str(error.value)
