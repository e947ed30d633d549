"""Records as the server answers them."""

import base64
from typing import Any

import msgspec

from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import EMPTY, PromiseRecord, PromiseState, TaskRecord, Value

BORN = 1_700_000_000_000
DEADLINE = BORN + 86_400_000


def stored(value: Any) -> Value:
    """A value as the SDK writes it."""
    return Value(data=base64.b64encode(msgspec.json.encode(value)).decode())


def make_record(
    id: str = "a",
    state: PromiseState = "pending",
    *,
    took_ms: int = 1_200,
    born_at_ms: int = BORN,
    **fields: Any,
) -> PromiseRecord:
    defaults: dict[str, Any] = {
        "param": EMPTY,
        "value": EMPTY,
        "tags": {},
        "timeout_at_ms": DEADLINE,
        "settled_at_ms": None if state == "pending" else born_at_ms + took_ms,
    }
    return PromiseRecord(id=id, state=state, created_at_ms=born_at_ms, **{**defaults, **fields})


def make_call(
    id: str, func: str, state: PromiseState = "pending", *, parent: str | None = None, **fields: Any
) -> PromiseRecord:
    """The promise of a remote call."""
    tags = {
        tag.TARGET: "amqp://any@workers",
        tag.SCOPE: tag.SCOPE_GLOBAL,
        tag.ORIGIN: id.partition(".")[0],
        tag.PARENT: parent or id,
        **fields.pop("tags", {}),
    }
    fields.setdefault("param", stored({"func": func, "args": [], "kwargs": {}, "version": 1}))
    return make_record(id, state, tags=tags, **fields)


def make_local(
    id: str, func: str, state: PromiseState = "pending", *, parent: str, **fields: Any
) -> PromiseRecord:
    """The promise of a function that runs in the task of its caller."""
    tags = {tag.SCOPE: tag.SCOPE_LOCAL, tag.PARENT: parent, tag.FINGERPRINT: f"call:{func}"}
    return make_record(id, state, tags=tags, **fields)


def make_sleep(id: str, state: PromiseState = "pending", *, parent: str, **f: Any) -> PromiseRecord:
    tags = {tag.TIMER: tag.TRUE, tag.PARENT: parent, tag.FINGERPRINT: "timer"}
    return make_record(id, state, tags=tags, **f)


def make_task(id: str, state: Any = "pending", **fields: Any) -> TaskRecord:
    defaults: dict[str, Any] = {"version": 0, "resumes": 0}
    return TaskRecord(id=id, state=state, **{**defaults, **fields})
