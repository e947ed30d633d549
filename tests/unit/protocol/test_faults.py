"""Every malformed request is answered with a sentence that names the field and the value."""

import json

import pytest

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.envelope import Malformed, decode_body
from tests.unit.protocol.wire import MISSING, envelope, patched, reason_of

LONG = "x" * (limits.ID_BYTES_MAX + 1)

# What is wrong, and the sentence about it.
SENTENCES: list[tuple[str, str, object, str]] = [
    ("promise.get", "id", MISSING, "id is missing"),
    ("promise.get", "id", 7, "id: Expected `str`, got `int`, found 7"),
    ("promise.get", "id", "", 'id: Expected `str` of length >= 1, found ""'),
    ("promise.get", "id", "a\0b", r"id 'a\x00b' holds a NUL character"),
    ("promise.get", "id", LONG, f"{LONG[:40]}"),
    ("promise.create", "timeoutAt", -1, "timeoutAt: Expected `int` >= 0, found -1"),
    ("promise.create", "timeoutAt", True, "timeoutAt: Expected `int`, got `bool`, found true"),
    ("promise.create", "timeoutAt", "1", 'timeoutAt: Expected `int`, got `str`, found "1"'),
    ("promise.create", "tags/a b", 5, "tags['a b']: Expected `str`, got `int`, found 5"),
    ("promise.create", "param/data", 5, "param.data: Expected `str | null`, got `int`, found 5"),
    ("promise.settle", "state", "pending", "state: Invalid enum value 'pending', found"),
    ("promise.register_callback", "awaiter", "p", "awaited: a promise cannot await itself: 'p'"),
    ("promise.register_listener", "address", "mailto:x", "address 'mailto:x' is no address"),
    ("promise.search", "limit", 0, "limit: Expected `int` >= 1, found 0"),
    ("task.acquire", "ttl", 0, "ttl: Expected `int` >= 1, found 0"),
    ("task.acquire", "version", -1, "version: Expected `int` >= 0, found -1"),
    ("task.acquire", "pid", "a.b", 'pid: Expected `str` matching regex'),
    ("task.create", "action", MISSING, "action is missing"),
    ("task.create", "action", None, "action: Expected `object`, got `null`, found null"),
    ("task.create", "action/kind", MISSING, "action.kind is missing"),
    ("task.create", "action/kind", "promise.get", "action.kind: Invalid value 'promise.get'"),
    ("task.create", "action/kind", "promise.settle", "action.kind: Invalid value 'promise.settle'"),
    ("task.create", "action/data", MISSING, "action.data is missing"),
    ("task.create", "action/data/id", 5, "action.data.id: Expected `str`, got `int`, found 5"),
    ("task.fulfill", "action/data/id", "other", "own promise 't', not 'other'"),
    ("task.fence", "action/data/id", "t", "another promise than its own 't'"),
    ("task.suspend", "actions", [], "actions: Expected `array` of length >= 1, found []"),
    ("task.suspend", "actions/0/kind", "promise.get", "actions[0].kind: Invalid value"),
    ("task.suspend", "actions/0/data/awaiter", "x", "actions[0].data.awaiter is the suspended"),
    ("task.heartbeat", "tasks/0/id", "", "tasks[0].id is empty"),
    ("task.heartbeat", "tasks/0/version", -1, "tasks[0].version is 0 to"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "path", "value", "sentence"), SENTENCES)
def test_the_sentence_names_the_field_and_the_value(
    kind: str, path: str, value: object, sentence: str
):
    reason = reason_of(kind, patched(kind, path, value))

    assert reason.startswith(f"{kind}: ")
    assert sentence in reason


def test_a_long_value_is_shortened():
    reason = reason_of("promise.get", {"id": ["x" * 5_000]})

    assert len(reason) < 200


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"id": "\ud800"}, r"data.id holds half a character, '\ud800'"),
        ({"id": "a", "x": ["b", "\udfff"]}, r"data.x[1] holds half a character, '\udfff'"),
        ({"id": "a", "\ud800": 1}, r"a key in data holds half a character, '\ud800'"),
    ],
)
def test_half_a_character_is_named_by_its_place(body: dict[str, object], sentence: str):
    assert reason_of("promise.get", body) == sentence


def test_half_a_character_in_a_head_is_told_to_its_sender():
    raw = json.dumps(envelope("promise.get", {"id": "a"}, chain="\ud800")).encode()

    (item,) = decode_body(raw).items

    assert isinstance(item, Malformed)
    assert (item.kind, item.correlation_id) == ("promise.get", "c")
    assert item.reason == r"head.chain holds half a character, '\ud800'"


@pytest.mark.parametrize("key", ["kind", "corrId"])
def test_half_a_character_is_never_sent_back(key: str):
    head = {"corrId": "\ud800"} if key == "corrId" else {}
    kind = "\ud800" if key == "kind" else "promise.get"
    raw = json.dumps(envelope(kind, {"id": "a"}, **head)).encode()

    (item,) = decode_body(raw).items

    assert isinstance(item, Malformed)
    assert (item.kind + item.correlation_id + item.reason).isascii()
