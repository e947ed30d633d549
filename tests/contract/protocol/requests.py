"""Requests as the protocol has them, with short words for what matters."""

import time
from typing import Any

Json = Any
YEAR_MS = 365 * 86_400_000


def in_ms(ms: int) -> int:
    """An instant from now."""
    return time.time_ns() // 1_000_000 + ms


def create(id: str, timeout_ms: int = YEAR_MS, **tags: str) -> Json:
    """The data of a `promise.create`; tags without their prefix."""
    return {
        "id": id,
        "timeoutAt": in_ms(timeout_ms),
        "param": {"data": "p"},
        "tags": {f"resonate:{name}": value for name, value in tags.items()},
    }


def settle(id: str, state: str = "resolved", data: str = "v") -> Json:
    """The data of a `promise.settle`."""
    return {"id": id, "state": state, "value": {"data": data}}


def start(id: str, pid: str, ttl: int = 60_000, timeout_ms: int = YEAR_MS) -> Json:
    """The data of a `task.create`."""
    action = {"kind": "promise.create", "head": {}, "data": create(id, timeout_ms, target="g")}
    return {"pid": pid, "ttl": ttl, "action": action}


def acquire(id: str, version: int, pid: str = "w", ttl: int = 60_000) -> Json:
    """The data of a `task.acquire`."""
    return {"id": id, "version": version, "pid": pid, "ttl": ttl}


def suspend(id: str, version: int, *awaited: str) -> Json:
    """The data of a `task.suspend`."""
    actions = [
        {
            "kind": "promise.register_callback",
            "head": {},
            "data": {"awaited": other, "awaiter": id},
        }
        for other in awaited
    ]
    return {"id": id, "version": version, "actions": actions}


def fulfill(id: str, version: int, state: str = "resolved") -> Json:
    """The data of a `task.fulfill`."""
    action = {"kind": "promise.settle", "head": {}, "data": settle(id, state)}
    return {"id": id, "version": version, "action": action}


def fence(id: str, version: int, kind: str, data: Json) -> Json:
    """The data of a `task.fence`."""
    action = {"kind": kind, "head": {"corrId": "inner"}, "data": data}
    return {"id": id, "version": version, "action": action}
