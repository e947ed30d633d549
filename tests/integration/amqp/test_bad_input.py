"""Requests that cannot be carried out: their sender is told, or an operator is, and nothing stops."""

import json
import logging
from typing import Any

import asyncpg
import pytest

from resonate_sdk.amqp.consumer import Consumer
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.topology import HEARTBEAT_KEY
from resonate_store.postgres import settings
from tests.integration.amqp.foreign import (
    FAR_FUTURE_MS,
    OK,
    ForeignClient,
    create,
    request,
    settle,
)
from tests.integration.amqp.server import ServerThread

MALFORMED = 400
INTERNAL = 500
REASON_HEADER = "resonate-reason"
UNKNOWN = "0"  # the correlation id of who cannot be made out
DEEP = 200_000


def raw(kind: str, data: str, head: str = "") -> bytes:
    """An envelope whose data or head json.dumps would not write."""
    return (
        f'{{"kind":"{kind}","head":{{"corrId":"c","version":"{limits.VERSION}"{head}}},'
        f'"data":{data}}}'
    ).encode()


NO_ENVELOPE = {
    "empty": b"",
    "text": b"this is not JSON",
    "cut off": b'{"kind":"promise.get","head":{"corrId":"c"',
    "cut off array": b'[{"kind":"promise.get"',
    "no UTF-8": b"\xff\xfe\x00",
    "no UTF-8 in a string": b'{"kind":"promise.get","head":{"corrId":"\xff"},"data":{}}',
    "number": b"42",
    "string": b'"promise.get"',
    "null": b"null",
    "empty object": b"{}",
    "empty array": b"[]",
    "only a kind": b'{"kind":"promise.get"}',
    "kind is a number": b'{"kind":7,"head":{},"data":{}}',
    "head is a string": b'{"kind":"promise.get","head":"h","data":{}}',
    "correlation id is a number": b'{"kind":"promise.get","head":{"corrId":7},"data":{}}',
    "deep array": b"[" * DEEP,
    "closed deep array": b"[" * DEEP + b"]" * DEEP,
    "deep object": b'{"kind":' * DEEP,
    "too large": b" " * limits.MESSAGE_BYTES_MAX + raw("promise.get", '{"id":"a"}'),
    "too many": json.dumps(
        [request("promise.get", {"id": "a"})] * (limits.ENVELOPES_PER_MESSAGE_MAX + 1)
    ).encode(),
}


def named(kind: str, data: Any) -> bytes:
    return json.dumps(request(kind, data, corr_id="c")).encode()


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


TASK = {"id": "a", "version": 0, "pid": "p", "ttl": 1000}
LONG_ID = "é" * (limits.ID_BYTES_MAX // 2 + 1)
VALUE = "x" * (limits.VALUE_BYTES_MAX + 1)
TAGS = {f"tag {number}": "" for number in range(limits.TAGS_MAX + 1)}
TAG_KEY = "k" * (limits.TAG_KEY_BYTES_MAX + 1)
TAG_VALUE = "v" * (limits.TAG_VALUE_BYTES_MAX + 1)
CALLBACKS = [
    {
        "kind": "promise.register_callback",
        "head": {},
        "data": {"awaited": f"b{number}", "awaiter": "a"},
    }
    for number in range(limits.AWAITED_PER_SUSPEND_MAX + 1)
]
BEATS = [{"id": f"t{number}", "version": 1} for number in range(limits.TASKS_PER_HEARTBEAT_MAX + 1)]

# What is wrong, and what the answer must name: the field, the limit, or the thing itself.
WRONG: dict[str, tuple[bytes, str]] = {
    "unknown kind": (named("promise.eat", {}), "promise.eat"),
    "empty kind": (named("", {}), "kind"),
    "long kind": (named("k" * 256, {}), "Unknown operation"),
    "long kind of long characters": (named("é" * 200, {}), "Unknown operation"),
    "data is null": (named("promise.get", None), "data"),
    "data is an array": (named("promise.get", []), "data"),
    "unknown version": (
        raw("promise.get", '{"id":"a"}').replace(limits.VERSION.encode(), b"1999-12-31"),
        "1999-12-31",
    ),
    "no version": (b'{"kind":"promise.get","head":{"corrId":"c"},"data":{"id":"a"}}', "version"),
    "no id": (named("promise.get", {}), "id"),
    "id is a number": (named("promise.get", {"id": 7}), "id"),
    "empty id": (named("promise.get", {"id": ""}), "id"),
    "long id": (named("promise.get", {"id": LONG_ID}), str(limits.ID_BYTES_MAX)),
    "NUL in an id": (named("promise.get", {"id": "a\0b"}), "NUL"),
    "NUL in a value": (named("promise.settle", settle("a", "\0")), "NUL"),
    "NUL in a tag": (named("promise.create", create("a", tags={"k": "\0"})), "NUL"),
    "negative deadline": (named("promise.create", {"id": "a", "timeoutAt": -1}), "timeoutAt"),
    "deadline is true": (named("promise.create", {"id": "a", "timeoutAt": True}), "timeoutAt"),
    "deadline is text": (named("promise.create", {"id": "a", "timeoutAt": "1"}), "timeoutAt"),
    "deadline is a fraction": (named("promise.create", {"id": "a", "timeoutAt": 1.5}), "timeoutAt"),
    "deadline is 2^63": (named("promise.create", {"id": "a", "timeoutAt": 2**63}), "timeoutAt"),
    "deadline has 5,000 digits": (
        raw("promise.create", f'{{"id":"a","timeoutAt":{"9" * 5000}}}'),
        "timeoutAt",
    ),
    "deadline is infinite": (raw("promise.create", '{"id":"a","timeoutAt":1e999}'), "promise.c"),
    "large value": (named("promise.settle", settle("a", VALUE)), str(limits.VALUE_BYTES_MAX)),
    "large param": (
        named("promise.create", create("a", param={"data": VALUE})),
        str(limits.VALUE_BYTES_MAX),
    ),
    "many tags": (named("promise.create", create("a", tags=TAGS)), str(limits.TAGS_MAX)),
    "long tag key": (
        named("promise.create", create("a", tags={TAG_KEY: ""})),
        str(limits.TAG_KEY_BYTES_MAX),
    ),
    "long tag value": (
        named("promise.create", create("a", tags={"k": TAG_VALUE})),
        str(limits.TAG_VALUE_BYTES_MAX),
    ),
    "no state to settle to": (named("promise.settle", settle("a", state="pending")), "state"),
    "target is no address": (
        named("promise.create", create("a", tags={"resonate:target": "http://x"})),
        "resonate:target",
    ),
    "awaits itself": (
        named("promise.register_callback", {"awaited": "a", "awaiter": "a"}),
        "'a'",
    ),
    "listener is no address": (
        named("promise.register_listener", {"awaited": "a", "address": "mailto:x"}),
        "mailto:x",
    ),
    "no lease": (named("task.acquire", TASK | {"ttl": 0}), "ttl"),
    "long lease": (named("task.acquire", TASK | {"ttl": limits.LEASE_MS_MAX + 1}), "ttl"),
    "negative task version": (named("task.acquire", TASK | {"version": -1}), "version"),
    "pid with a dot": (named("task.acquire", TASK | {"pid": "a.b"}), "pid"),
    "awaits nothing": (named("task.suspend", {"id": "a", "version": 1, "actions": []}), "actions"),
    "awaits too much": (
        named("task.suspend", {"id": "a", "version": 1, "actions": CALLBACKS}),
        "actions",
    ),
    "beats for too much": (named("task.heartbeat", {"pid": "p", "tasks": BEATS}), "tasks"),
    "large page": (named("promise.search", {"limit": limits.SEARCH_PAGE_MAX + 1}), "limit"),
    "group with a dot": (named("hello", {"pid": "p", "group": "a.b"}), "group"),
}


@pytest.fixture
def server(module_server: ServerThread) -> ServerThread:
    return module_server


async def assert_served(client: ForeignClient) -> None:
    """The next request on the same queue is answered."""
    answer = await client.ask("promise.create", create("next"))
    assert answer["head"]["status"] == OK


@pytest.mark.parametrize("body", NO_ENVELOPE.values(), ids=NO_ENVELOPE.keys())
async def test_what_is_no_envelope_is_answered_400_and_the_next_request_is_served(
    client: ForeignClient, server: ServerThread, body: bytes
):
    await client.send(body, correlation_id="of the message")

    message = await client.answers.next()
    answer = json.loads(message.body)

    assert message.correlation_id == "of the message"
    assert answer["head"] == {"corrId": UNKNOWN, "status": MALFORMED, "version": limits.VERSION}
    assert isinstance(answer["data"], str)
    await assert_served(client)
    assert server.is_alive


@pytest.mark.parametrize(("body", "found"), WRONG.values(), ids=WRONG.keys())
async def test_a_request_over_a_limit_or_rule_is_answered_400_with_what_was_found(
    client: ForeignClient, server: ServerThread, body: bytes, found: str
):
    await client.send(body)

    answer = await client.answers.next_json()

    assert answer["head"] == {"corrId": "c", "status": MALFORMED, "version": limits.VERSION}
    assert found in answer["data"]
    await assert_served(client)
    assert server.is_alive


@pytest.mark.parametrize(
    "id", [r"\ud800", r"a\udfffb", r"\udc00\ud800"], ids=["high", "low", "wrong order"]
)
async def test_a_lone_surrogate_is_answered_400(client: ForeignClient, id: str):
    await client.send(raw("promise.get", f'{{"id":"{id}"}}'))

    answer = await client.answers.next_json()

    assert answer["head"]["status"] == MALFORMED
    assert answer["data"].startswith("data.id holds half a character")
    await assert_served(client)


@pytest.mark.parametrize(
    "body",
    [
        raw("promise.get", f'{{"id":"a","extra":{nested(DEEP)}}}'),
        raw("promise.get", '{"id":"a"}', f',"extra":{nested(DEEP)}'),
        raw("promise.create", f'{{"id":"a","timeoutAt":9,"tags":{nested(DEEP)}}}'),
        b"[" + raw("promise.get", f'{{"id":"a","extra":{nested(DEEP)}}}') + b"]",
    ],
    ids=["in data", "in the head", "where it matters", "in an array"],
)
async def test_a_request_that_is_nested_deeply_is_answered_and_harms_nobody(
    client: ForeignClient, server: ServerThread, body: bytes
):
    await client.send(body)

    answer = await client.answers.next_json()

    answer = answer[0] if isinstance(answer, list) else answer
    assert answer["head"]["status"] == MALFORMED
    await assert_served(client)
    assert server.is_alive


async def test_what_is_just_within_the_limits_is_carried_out(client: ForeignClient):
    id = "é" * (limits.ID_BYTES_MAX // 2)
    tags = {  # and no target: such a promise gets one tag more
        f"{number:03}".ljust(limits.TAG_KEY_BYTES_MAX, "k"): "v" * limits.TAG_VALUE_BYTES_MAX
        for number in range(limits.TAGS_MAX)
    }
    value = "x" * limits.VALUE_BYTES_MAX

    await client.send(
        request("promise.create", create(id, tags=tags, param={"data": value}), corr_id="c")
    )
    created = await client.answers.next_json()
    promise = await client.promise(id)

    assert created["head"]["status"] == OK
    assert promise["param"]["data"] == value
    assert tags.items() <= promise["tags"].items()
    assert promise["timeoutAt"] == FAR_FUTURE_MS


async def test_many_bad_messages_do_not_stop_the_queue(client: ForeignClient):
    bodies = [*NO_ENVELOPE.values(), *(body for body, _ in WRONG.values())]
    count = 3 * 64  # more than the server takes without acknowledging them
    small = [body for body in bodies if len(body) < 10_000 or body.startswith(b"[[")]

    for number in range(count):
        await client.send(small[number % len(small)])
    for _ in range(count):
        await client.answers.next()

    await assert_served(client)


async def test_a_bad_item_of_an_array_spoils_no_other(client: ForeignClient):
    good = [request("promise.create", create(f"good-{n}"), corr_id=f"good-{n}") for n in range(2)]
    bad = [json.loads(body) for body, _ in list(WRONG.values())[:12]]
    items = [good[0], 42, *bad, {}, [], None, good[1]]

    answers = await client.ask_all(items)

    status = {answer["head"]["corrId"]: answer["head"]["status"] for answer in answers}
    assert status == {"good-0": OK, "good-1": OK, "c": MALFORMED, UNKNOWN: MALFORMED}


@pytest.mark.parametrize(
    "body",
    [b"this is not JSON", b"{}", named("promise.eat", {}), named("promise.get", {"id": ""})],
    ids=["no JSON", "no envelope", "unknown kind", "no id"],
)
@pytest.mark.parametrize("key", ["promise.get", "p00.promise.get", HEARTBEAT_KEY])
@pytest.mark.parametrize("reply_to", [None, "", "somewhere-else"], ids=["no", "empty", "foreign"])
async def test_a_bad_request_that_nobody_can_be_told_about_is_dead_lettered_with_the_reason(
    client: ForeignClient,
    server: ServerThread,
    caplog: pytest.LogCaptureFixture,
    body: bytes,
    key: str,
    reply_to: str | None,
):
    dead = await client.consume(client.names.dead_queue)

    await client.send(body, key=key, reply_to=reply_to, type="my.kind")
    letter = await dead.next()
    await assert_served(client)

    heartbeat, submit = client.names.heartbeat, client.names.submit_queue(0)
    assert letter.body == body
    assert letter.type == "my.kind"
    assert letter.routing_key == (heartbeat if key == HEARTBEAT_KEY else submit)
    assert letter.headers[REASON_HEADER]
    assert dead.is_empty
    assert server.is_alive
    lines = [record for record in caplog.records if "dead-lettered" in record.message]
    assert [record.levelno for record in lines] == [logging.WARNING]


REJECT = """
    create function reject() returns trigger language plpgsql as
        $$ begin raise 'poison'; end $$;
    create trigger reject before insert on promises
        for each row when (new.id = 'poison') execute function reject()
"""


async def test_a_request_that_the_database_rejects_is_answered_500_and_dead_lettered(
    client: ForeignClient, server: ServerThread
):
    path = {"search_path": settings.quoted(server.config.namespace)}
    connection = await asyncpg.connect(server.config.database_url, server_settings=path)
    await connection.execute(REJECT)
    await connection.close()
    dead = await client.consume(client.names.dead_queue)

    answer = await client.ask("promise.create", create("poison"))
    letter = await dead.next()

    assert answer["head"]["status"] == INTERNAL
    assert "poison" in str(letter.headers[REASON_HEADER])
    assert json.loads(letter.body)["data"] == create("poison")
    await assert_served(client)
    assert dead.is_empty


async def test_of_an_array_only_the_bad_items_are_dead_lettered(client: ForeignClient):
    dead = await client.consume(client.names.dead_queue)
    good = request("promise.create", create("good"))

    await client.send([{"bad": 1}, good, 42], reply_to=None)

    assert [(await dead.next()).body for _ in range(2)] == [b'{"bad": 1}', b"42"]
    promise = await client.promise("good")
    assert promise["state"] == "pending"


async def test_bad_requests_do_not_stop_the_queue_although_the_queue_of_dead_letters_is_gone(
    client: ForeignClient,
):
    await client.channel.queue_delete(client.names.dead_queue)

    for _ in range(70):  # more than the server takes without acknowledging them
        await client.send(b"garbage", reply_to=None)

    await assert_served(client)
    dead = await client.consume(client.names.dead_queue)  # which is there again
    assert [(await dead.next()).body for _ in range(70)] == [b"garbage"] * 70


async def test_bad_requests_do_not_stop_the_queue_although_the_queue_of_dead_letters_is_full(
    client: ForeignClient, monkeypatch: pytest.MonkeyPatch
):
    """A queue of the same name that takes nothing stands for one that is full.

    The broker keeps the requests: it dead-letters what is rejected as soon as there is room.
    """
    rejected: list[bool] = []
    reject = Consumer.reject

    def note(consumer: Consumer, tag: int, *, requeue: bool) -> None:
        rejected.append(requeue)
        reject(consumer, tag, requeue=requeue)

    monkeypatch.setattr(Consumer, "reject", note)
    await client.channel.queue_delete(client.names.dead_queue)
    full = await client.channel.declare_queue(
        client.names.dead_queue, arguments={"x-max-length": 0, "x-overflow": "reject-publish"}
    )
    await full.bind(client.names.dead_exchange, "#")

    for _ in range(70):
        await client.send(b"garbage", reply_to=None)

    await assert_served(client)
    assert rejected == [False] * 70
