"""Valid data of every request kind, and a short way to put it into an envelope and back."""

import json
from typing import Any

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.envelope import Decoded, Malformed, decode_body

TARGET = {"resonate:target": "amqp://any@g"}
CREATE = {"id": "p", "timeoutAt": 2_000_000, "param": {"data": "x"}, "tags": dict(TARGET)}
SETTLE = {"id": "t", "state": "resolved", "value": {"data": "x"}}
CALLBACK = {"kind": "promise.register_callback", "data": {"awaited": "p", "awaiter": "t"}}

VALID: dict[str, dict[str, Any]] = {
    "promise.get": {"id": "p"},
    "promise.create": CREATE,
    "promise.settle": SETTLE,
    "promise.register_callback": {"awaited": "p", "awaiter": "t"},
    "promise.register_listener": {"awaited": "p", "address": "amqp://uni@g/w1"},
    "promise.search": {"state": "pending", "tags": {"a": "b"}, "limit": 5, "cursor": "c"},
    "task.get": {"id": "t"},
    "task.create": {
        "pid": "w1",
        "ttl": 15_000,
        "action": {"kind": "promise.create", "data": CREATE},
    },
    "task.acquire": {"id": "t", "version": 0, "pid": "w1", "ttl": 15_000},
    "task.release": {"id": "t", "version": 1},
    "task.report": {"id": "t", "version": 1, "promise": "t.1", "reason": "ValueError: no"},
    "task.fulfill": {
        "id": "t",
        "version": 1,
        "action": {"kind": "promise.settle", "data": SETTLE},
    },
    "task.suspend": {"id": "t", "version": 1, "actions": [CALLBACK]},
    "task.fence": {
        "id": "t",
        "version": 1,
        "action": {"kind": "promise.create", "data": CREATE},
    },
    "task.heartbeat": {"pid": "w1", "tasks": [{"id": "t", "version": 1}]},
    "task.halt": {"id": "t"},
    "task.continue": {"id": "t"},
    "task.search": {"state": "halted", "limit": 5, "cursor": "c"},
    "schedule.get": {"id": "s"},
    "schedule.create": {
        "id": "s",
        "cron": "*/5 * * * *",
        "promiseId": "{{.id}}.{{.timestamp}}",
        "promiseTimeout": 60_000,
        "promiseParam": {"data": "x"},
        "promiseTags": dict(TARGET),
        "timezone": "Europe/Berlin",
        "overlap": "skip",
        "missed": "latest",
    },
    "schedule.delete": {"id": "s"},
    "schedule.search": {"tags": {"a": "b"}, "limit": 5, "cursor": "c"},
    "trigger.get": {"id": "orders"},
    "trigger.create": {
        "id": "orders",
        "exchange": "shop",
        "routingKey": "order.*",
        "promiseId": "order-{{.body.id}}",
        "func": "fulfil",
        "target": "amqp://any@g",
        "key": "{{.body.customer}}",
        "priority": "7",
        "timeout": 60_000,
    },
    "trigger.delete": {"id": "orders"},
    "trigger.search": {},
    "group.get": {"name": "g"},
    "group.set": {"name": "g", "concurrency": 3, "keyRate": {"count": 1, "per": 60_000}},
    "group.list": {},
    "group.workers": {"group": "g"},
    "debug.start": {},
    "debug.stop": {},
    "debug.reset": {},
    "debug.tick": {"time": 5},
    "debug.snap": {},
    "hello": {"pid": "w1", "group": "g", "slots": 4, "inFlight": 1, "sdk": "py"},
}

MISSING = object()


def patched(kind: str, path: str, value: object) -> dict[str, Any]:
    """Valid data of a kind with one thing changed; `MISSING` removes it."""
    data = json.loads(json.dumps(VALID[kind]))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    target: Any = data
    for parent in parents:
        target = target[parent]
    if value is MISSING:
        del target[last]
    else:
        target[last] = value
    return data


def envelope(kind: str, data: object, **head: object) -> dict[str, Any]:
    return {"kind": kind, "head": {"corrId": "c", "version": limits.VERSION} | head, "data": data}


def decode(kind: str, data: object, **head: object) -> Decoded | Malformed:
    """What becomes of one request."""
    body = json.dumps(envelope(kind, data, **head)).encode()
    (item,) = decode_body(body, may_debug=True).items
    return item


def read(kind: str, data: object, **head: object) -> Any:
    """A request that is well formed, of the struct of its kind."""
    item = decode(kind, data, **head)
    assert isinstance(item, Decoded), item
    return item.request


def reason_of(kind: str, data: object, **head: object) -> str:
    """Why a request is refused at the edge."""
    item = decode(kind, data, **head)
    assert isinstance(item, Malformed), item
    assert (item.kind, item.correlation_id) == (kind, "c")
    return item.reason
