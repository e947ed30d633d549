"""§2a.4 and the limits of architecture.md §6a: what is malformed, and that the reason says where."""

import pytest

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.envelope import Decoded, Malformed, decode_body
from resonate_sdk.protocol.records import Value
from resonate_sdk.protocol.requests import KINDS, PromiseCreate
from tests.unit.protocol.wire import (
    CALLBACK,
    MISSING,
    VALID,
    decode,
    envelope,
    patched,
    read,
    reason_of,
)

IDS = [
    ("promise.get", "id"),
    ("promise.create", "id"),
    ("promise.settle", "id"),
    ("promise.register_callback", "awaited"),
    ("promise.register_callback", "awaiter"),
    ("promise.register_listener", "awaited"),
    ("task.get", "id"),
    ("task.create", "action/data/id"),
    ("task.acquire", "id"),
    ("task.release", "id"),
    ("task.report", "id"),
    ("task.report", "promise"),
    ("task.fulfill", "id"),
    ("task.suspend", "id"),
    ("task.suspend", "actions/0/data/awaited"),
    ("task.fence", "id"),
    ("task.fence", "action/data/id"),
    ("task.heartbeat", "tasks/0/id"),
]
NAMES = [
    ("task.create", "pid"),
    ("task.acquire", "pid"),
    ("task.heartbeat", "pid"),
    ("hello", "pid"),
    ("hello", "group"),
]
INTEGERS = [
    ("promise.create", "timeoutAt"),
    ("task.create", "ttl"),
    ("task.create", "action/data/timeoutAt"),
    ("task.acquire", "ttl"),
    ("task.acquire", "version"),
    ("task.release", "version"),
    ("task.report", "version"),
    ("task.fulfill", "version"),
    ("task.suspend", "version"),
    ("task.fence", "version"),
    ("task.fence", "action/data/timeoutAt"),
    ("task.heartbeat", "tasks/0/version"),
    ("promise.search", "limit"),
]
REQUIRED = [
    *IDS,
    *(pair for pair in NAMES if pair != ("hello", "group")),
    *(pair for pair in INTEGERS if pair[0] != "promise.search"),
    ("promise.settle", "state"),
    ("promise.register_listener", "address"),
    ("task.create", "action"),
    ("task.create", "action/data"),
    ("task.fulfill", "action"),
    ("task.suspend", "actions"),
    ("task.fence", "action"),
    ("task.heartbeat", "tasks"),
]


def last(path: str) -> str:
    """The name of the field at the end of a path."""
    return path.rsplit("/", 1)[-1]


@pytest.mark.parametrize(("kind", "path"), REQUIRED)
def test_a_field_that_is_needed_is_missed_by_its_name(kind: str, path: str):
    assert last(path) in reason_of(kind, patched(kind, path, MISSING))


@pytest.mark.parametrize("value", ["", 5, None, True, [], {}])
@pytest.mark.parametrize(("kind", "path"), IDS)
def test_an_id_is_a_string_that_is_not_empty(kind: str, path: str, value: object):
    assert last(path) in reason_of(kind, patched(kind, path, value))


@pytest.mark.parametrize("value", ["x" * 1025, "é" * 513, "🜚" * 257])
@pytest.mark.parametrize(("kind", "path"), IDS)
def test_an_id_of_more_than_1024_bytes_is_refused_by_name_and_limit(
    kind: str, path: str, value: str
):
    reason = reason_of(kind, patched(kind, path, value))

    assert last(path) in reason
    assert "1024" in reason


@pytest.mark.parametrize(
    "value", ["x" * 1024, "é" * 512, "🜚" * 256, " ", "a/b:c.d", "a\nb", "\x01"]
)
@pytest.mark.parametrize(
    ("kind", "path"), [pair for pair in IDS if pair[0] in ("promise.get", "promise.create")]
)
def test_any_other_string_is_an_id(kind: str, path: str, value: str):
    assert isinstance(decode(kind, patched(kind, path, value)), Decoded)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        *IDS,
        ("promise.create", "tags/resonate:target"),
        ("promise.create", "param/data"),
        ("promise.settle", "value/data"),
        ("promise.register_listener", "address"),
        ("promise.search", "cursor"),
        ("promise.search", "tags/a"),
        ("task.acquire", "pid"),
        ("hello", "group"),
    ],
)
def test_no_string_that_is_kept_holds_a_nul(kind: str, path: str):
    field = path.split("/")[0] if path.startswith(("tags", "param", "value")) else last(path)

    assert field.removesuffix("s") in reason_of(kind, patched(kind, path, "a\x00b"))


@pytest.mark.parametrize("where", ["tags", "param/headers"])
def test_no_key_that_is_kept_holds_a_nul(where: str):
    data = patched("promise.create", where, {"a\x00": "b"})

    assert where.split("/")[0] in reason_of("promise.create", data)


@pytest.mark.parametrize("value", ["", "a b", "a.b", "é", "x" * 65, "a\n", "a/b", 5, True])
@pytest.mark.parametrize(("kind", "path"), NAMES)
def test_a_group_or_process_is_up_to_64_plain_characters(kind: str, path: str, value: object):
    assert last(path) in reason_of(kind, patched(kind, path, value))


@pytest.mark.parametrize("value", ["x" * 64, "a-Z_9"])
@pytest.mark.parametrize(("kind", "path"), NAMES)
def test_letters_digits_hyphen_and_underscore_make_a_name(kind: str, path: str, value: str):
    assert isinstance(decode(kind, patched(kind, path, value)), Decoded)


@pytest.mark.parametrize("value", [True, False, "5", 5.0, 1.5, -1, 2**63, 2**64, 10**300, [], {}])
@pytest.mark.parametrize(("kind", "path"), INTEGERS)
def test_a_number_is_an_integer_from_0_to_2_to_the_63(kind: str, path: str, value: object):
    assert last(path) in reason_of(kind, patched(kind, path, value))


@pytest.mark.parametrize("value", [True, "5", 1.5, -1])
@pytest.mark.parametrize("path", ["slots", "inFlight"])
def test_the_counts_of_a_greeting_are_counts(path: str, value: object):
    assert path in reason_of("hello", patched("hello", path, value))


@pytest.mark.parametrize("number", ["1e3", "1E400", "-0.0", "0x10", "Infinity", "NaN", "1" * 5_000])
def test_a_number_in_another_notation_is_refused(number: str):
    body = '{"kind":"promise.create","head":{"corrId":"c","version":"2026-04-01"},'
    body += '"data":{"id":"p","timeoutAt":' + number + "}}"

    assert isinstance(decode_body(body.encode()).items[0], Malformed)


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1])
def test_every_instant_up_to_the_limit_is_read(value: int):
    request = read("promise.create", patched("promise.create", "timeoutAt", value))

    assert request.timeout_at_ms == value


@pytest.mark.parametrize("kind", ["task.create", "task.acquire"])
@pytest.mark.parametrize("ttl", [0, limits.LEASE_MS_MAX + 1])
def test_a_lease_of_nothing_or_of_more_than_a_day_is_refused(kind: str, ttl: int):
    assert "ttl" in reason_of(kind, patched(kind, "ttl", ttl))


@pytest.mark.parametrize("kind", ["task.create", "task.acquire"])
@pytest.mark.parametrize("ttl", [1, limits.LEASE_MS_MAX])
def test_a_lease_between_them_is_read(kind: str, ttl: int):
    assert read(kind, patched(kind, "ttl", ttl)).lease_ms == ttl


@pytest.mark.parametrize(
    "state", ["pending", "rejected_timedout", "", "RESOLVED", "resolve", None, 5]
)
@pytest.mark.parametrize(
    ("kind", "path"), [("promise.settle", "state"), ("task.fulfill", "action/data/state")]
)
def test_only_resolved_rejected_and_canceled_can_be_asked_for(kind: str, path: str, state: object):
    assert "state" in reason_of(kind, patched(kind, path, state))


@pytest.mark.parametrize("state", ["resolved", "rejected", "rejected_canceled"])
def test_these_states_can_be_asked_for(state: str):
    assert isinstance(decode("promise.settle", patched("promise.settle", "state", state)), Decoded)


@pytest.mark.parametrize("tags", [None, [], "x", {"a": 1}, {"a": None}, {"a": True}])
def test_tags_map_strings_to_strings(tags: object):
    assert "tags" in reason_of("promise.create", patched("promise.create", "tags", tags))


@pytest.mark.parametrize(
    ("tags", "limit"),
    [
        ({f"k{number}": "" for number in range(65)}, "64"),
        ({"k" * 129: ""}, "128"),
        ({"é" * 65: ""}, "128"),
        ({"k": "v" * 1025}, "1024"),
        ({"k": "é" * 513}, "1024"),
    ],
    ids=["count", "key", "key bytes", "value", "value bytes"],
)
@pytest.mark.parametrize("kind", ["promise.create", "promise.search"])
def test_tags_above_a_limit_are_refused_by_name_and_limit(
    kind: str, tags: dict[str, str], limit: str
):
    reason = reason_of(kind, patched(kind, "tags", tags))

    assert "tag" in reason
    assert limit in reason


@pytest.mark.parametrize(
    "tags",
    [
        {f"k{number}": "" for number in range(64)},
        {"k" * 128: "v" * 1024},
        {"é" * 64: "é" * 512},
        {"": ""},
        {"resonate:unheard-of": "x"},
    ],
)
def test_tags_at_their_limits_are_read(tags: dict[str, str]):
    assert isinstance(decode("promise.create", patched("promise.create", "tags", tags)), Decoded)


VALUES = [
    ("promise.create", "param"),
    ("promise.settle", "value"),
    ("task.create", "action/data/param"),
    ("task.fulfill", "action/data/value"),
    ("task.fence", "action/data/param"),
]


@pytest.mark.parametrize(
    "value",
    [
        {"data": "x" * (limits.VALUE_BYTES_MAX + 1)},
        {"data": "é" * (limits.VALUE_BYTES_MAX // 2 + 1)},
        {"headers": {"h": "x" * limits.VALUE_BYTES_MAX}},
        {"data": "x" * limits.VALUE_BYTES_MAX, "headers": {"h": ""}},
    ],
    ids=["data", "bytes", "headers", "together"],
)
@pytest.mark.parametrize(("kind", "path"), VALUES)
def test_a_value_above_1_mib_is_refused_by_name_and_limit(
    kind: str, path: str, value: dict[str, object]
):
    reason = reason_of(kind, patched(kind, path, value))

    assert last(path) in reason
    assert str(limits.VALUE_BYTES_MAX) in reason


@pytest.mark.parametrize(
    "value", [{"data": "x" * limits.VALUE_BYTES_MAX}, {"data": ""}, {}, {"headers": {}}]
)
def test_a_value_at_its_limit_and_an_empty_one_are_read(value: dict[str, object]):
    assert isinstance(decode("promise.create", patched("promise.create", "param", value)), Decoded)


def test_headers_and_data_that_are_null_are_as_absent():
    nulls = patched("promise.create", "param", {"headers": None, "data": None})
    absent = patched("promise.create", "param", {})

    assert read("promise.create", nulls) == read("promise.create", absent)


@pytest.mark.parametrize("value", [{"data": 5}, {"data": {}}, {"headers": {"a": 1}}, "x", []])
@pytest.mark.parametrize(("kind", "path"), VALUES)
def test_a_value_has_headers_and_data_of_text(kind: str, path: str, value: object):
    assert last(path) in reason_of(kind, patched(kind, path, value))


def test_a_promise_cannot_await_itself():
    data = patched("promise.register_callback", "awaiter", "p")

    assert "'p'" in reason_of("promise.register_callback", data)


UNREACHABLE = ["", "http://example.org", "amqp://uni@g", "a b", "bash://any", 5]


@pytest.mark.parametrize("address", [*UNREACHABLE, None])
def test_a_listener_has_an_address_that_can_be_reached(address: object):
    data = patched("promise.register_listener", "address", address)

    assert "address" in reason_of("promise.register_listener", data)


@pytest.mark.parametrize("address", [*UNREACHABLE, None])
def test_so_has_the_listener_of_a_creation(address: object):
    data = {**VALID["promise.create"], "listener": address}

    assert "listener" in reason_of("promise.create", data)


@pytest.mark.parametrize("kind", ["task.create", "task.fence"])
def test_a_creation_inside_another_request_has_no_listener(kind: str):
    creation = {**VALID["promise.create"], "listener": "amqp://uni@g/w1"}

    assert "data.listener" in reason_of(kind, patched(kind, "action/data", creation))


@pytest.mark.parametrize("limit", [0, 1_001])
def test_a_page_has_from_1_to_1000_promises(limit: int):
    assert "limit" in reason_of("promise.search", patched("promise.search", "limit", limit))


@pytest.mark.parametrize("state", ["acquired", "", "PENDING", 5])
def test_a_search_knows_the_states_of_promises(state: object):
    assert "state" in reason_of("promise.search", patched("promise.search", "state", state))


def test_a_search_without_a_word_asks_for_the_first_hundred():
    request = read("promise.search", {})

    assert (request.limit, request.state, request.cursor) == (100, None, None)


@pytest.mark.parametrize("kind", ["promise.settle", "promise.get", "", None, 5])
def test_task_create_comes_with_a_creation(kind: object):
    assert "kind" in reason_of("task.create", patched("task.create", "action/kind", kind))


@pytest.mark.parametrize("kind", ["promise.create", "promise.get", "", None])
def test_task_fulfill_comes_with_a_settlement(kind: object):
    assert "kind" in reason_of("task.fulfill", patched("task.fulfill", "action/kind", kind))


@pytest.mark.parametrize("kind", ["promise.get", "task.create", "", None])
def test_task_fence_comes_with_a_creation_or_a_settlement(kind: object):
    assert "kind" in reason_of("task.fence", patched("task.fence", "action/kind", kind))


@pytest.mark.parametrize("kind", ["promise.create", "promise.settle", "", None])
def test_task_suspend_comes_with_callbacks(kind: object):
    assert "kind" in reason_of("task.suspend", patched("task.suspend", "actions/0/kind", kind))


def test_a_task_fulfills_its_own_promise_only():
    data = patched("task.fulfill", "action/data/id", "another")

    assert "'another'" in reason_of("task.fulfill", data)


def test_a_fence_acts_on_another_promise_than_its_own():
    data = patched("task.fence", "action/data/id", "t")

    assert "'t'" in reason_of("task.fence", data)


def test_a_task_suspends_in_its_own_name_only():
    data = patched("task.suspend", "actions/0/data/awaiter", "another")

    assert "'another'" in reason_of("task.suspend", data)


def test_a_task_does_not_await_its_own_promise():
    data = patched("task.suspend", "actions/0/data/awaited", "t")

    assert "'t'" in reason_of("task.suspend", data)


def test_a_task_awaits_each_promise_once():
    data = patched("task.suspend", "actions", [CALLBACK, CALLBACK])

    assert "'p' is awaited twice" in reason_of("task.suspend", data)


def awaiting(count: int) -> list[dict[str, object]]:
    return [
        {"kind": "promise.register_callback", "data": {"awaited": f"p{number}", "awaiter": "t"}}
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [0, limits.AWAITED_PER_SUSPEND_MAX + 1])
def test_a_task_awaits_from_1_to_10000_promises(count: int):
    data = patched("task.suspend", "actions", awaiting(count))

    assert "actions" in reason_of("task.suspend", data)


def test_a_task_may_await_10000_promises():
    data = patched("task.suspend", "actions", awaiting(limits.AWAITED_PER_SUSPEND_MAX))

    assert isinstance(decode("task.suspend", data), Decoded)


@pytest.mark.parametrize("count", [0, limits.TASKS_PER_HEARTBEAT_MAX + 1])
def test_a_heartbeat_is_for_1_to_1000_tasks(count: int):
    tasks = [{"id": f"t{number}", "version": 1} for number in range(count)]

    assert "tasks" in reason_of("task.heartbeat", patched("task.heartbeat", "tasks", tasks))


def test_a_heartbeat_may_be_for_tasks_of_different_origins():
    tasks = [{"id": "a.1", "version": 1}, {"id": "b.1", "version": 2}]

    assert isinstance(decode("task.heartbeat", patched("task.heartbeat", "tasks", tasks)), Decoded)


@pytest.mark.parametrize(
    ("kind", "path", "value", "found"),
    [
        ("promise.get", "id", "x" * 1030, "1030"),
        ("promise.create", "tags", {f"k{number}": "" for number in range(65)}, "65"),
        ("promise.create", "param", {"data": "x" * 1_048_577}, "1048577"),
    ],
)
def test_over_a_limit_the_reason_says_what_was_found(
    kind: str, path: str, value: object, found: str
):
    assert found in reason_of(kind, patched(kind, path, value))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_partition_is_decided_by_an_id_of_the_request(kind: str):
    item = decode(kind, VALID[kind])
    origins = {
        "promise.search": "default",
        "hello": "default",
        "task.search": "default",
        "debug.start": "default",
        "debug.stop": "default",
        "debug.reset": "default",
        "debug.tick": "default",
        "debug.snap": "default",
        "trigger.get": "default",
        "trigger.create": "default",
        "trigger.delete": "default",
        "trigger.search": "default",
        "schedule.get": "default",
        "schedule.create": "default",
        "schedule.delete": "default",
        "schedule.search": "default",
        "group.get": "default",
        "group.set": "default",
        "group.list": "default",
        "group.workers": "",
        "promise.register_callback": "p",
        "promise.register_listener": "p",
        "promise.get": "p",
        "promise.create": "p",
        "task.create": "p",
    }

    assert isinstance(item, Decoded)
    assert item.request.origin() == origins.get(kind, "t")


def test_a_bad_request_is_named_by_its_kind_and_correlation_id():
    (item,) = decode_body(
        str(envelope("task.get", {"id": ""}, corrId="c-9")).replace("'", '"').encode()
    ).items

    assert isinstance(item, Malformed)
    assert (item.kind, item.correlation_id) == ("task.get", "c-9")
    assert item.reason.startswith("task.get: ")


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("task.create", "action/kind"),
        ("task.fulfill", "action/kind"),
        ("task.fence", "action/kind"),
        ("task.suspend", "actions/0/kind"),
    ],
)
@pytest.mark.parametrize("value", [MISSING, "-", None])
def test_an_action_says_its_kind(kind: str, path: str, value: object):
    place = path.replace("/0", "[0]").replace("/", ".")

    assert place in reason_of(kind, patched(kind, path, value))


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "\ud800"},
        {"id": "p" * 1_000 + "\ud800"},
        {"tags": {"k": "\udfff"}},
        {"tags": {"\udfff": "v" * 1_000}},
        {"param": Value(data="\ud800")},
        {"param": Value(headers={"k": "\ud800"})},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_request_that_was_made_of_half_a_character_is_refused(fields):
    with pytest.raises(ValueError, match=r"half of a character|surrogates not allowed"):
        PromiseCreate(**({"id": "p", "timeout_at_ms": 1} | fields))
