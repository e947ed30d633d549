"""Promises as rows of PostgreSQL, and changes as a document.

The order of columns is that of `queries.sql`, and of `load_v1` and `store_v2`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import astuple

from resonate_sdk.protocol.records import EMPTY, Value
from resonate_store.state import Callback, Changes, Listener, Promise, Task, Timer

Cell: TypeAlias = str | int | bool | Mapping[str, str] | tuple[str, ...] | None

_TASK_WIDTH = 14
_NO_TASK: tuple[Cell, ...] = (None,) * _TASK_WIDTH

_encode = msgspec.json.Encoder().encode
decode_map = msgspec.json.Decoder(dict[str, str]).decode
_decode_ids = msgspec.json.Decoder(tuple[str, ...]).decode


def to_promise(row: Iterable[Any]) -> Promise:
    """Make a promise of its columns."""
    (
        id, timeout_at, created_at, tags, param_headers, param_data,
        group_name, priority, concurrency_key,
        state, settled_at, timer_at, value_headers, value_data,
        task_state, version, pid, last_pid, lease_ms, expires_at, resumes, is_resumed,
        retry_at, queued_at, hint_at, is_hint_sticky, attempts, lease_losses,
    ) = row  # fmt: skip
    task = None
    if task_state is not None:
        task = Task(
            state=task_state,
            version=version,
            group=group_name,
            pid=pid,
            lease_ms=lease_ms,
            expires_at_ms=expires_at,
            resumes=() if resumes is None else _decode_ids(resumes),
            priority=priority,
            concurrency_key=concurrency_key,
            last_pid=last_pid,
            is_resumed=is_resumed,
            retry_at_ms=retry_at,
            queued_at_ms=queued_at,
            hint_at_ms=hint_at,
            is_hint_sticky=is_hint_sticky,
            attempts=attempts,
            lease_losses=lease_losses,
        )
    return Promise(
        id=id,
        state=state,
        param=_to_value(param_headers, param_data),
        value=_to_value(value_headers, value_data),
        tags=decode_map(tags),
        timeout_at_ms=timeout_at,
        created_at_ms=created_at,
        settled_at_ms=settled_at,
        timer_at_ms=timer_at,
        task=task,
    )


def to_document(changes: Changes, stored: Mapping[str, Promise]) -> bytes:
    """Make the parameter of `store_v2`: arrays of rows by name, without those that are empty.

    Args:
        changes: what to write.
        stored: the updated promises as they were, by id; a value they have already is not
            written again.

    Raises:
        UnicodeEncodeError: a text is not Unicode.
    """
    members: dict[str, Sequence[Any]] = {
        "created": [_created_row(promise) for promise in changes.created],
        "updated": [_updated_row(promise, stored[promise.id]) for promise in changes.updated],
        "callbacks_added": _pairs(changes.callbacks_added),
        "callbacks_consumed": _pairs(changes.callbacks_consumed),
        "listeners_added": _pairs(changes.listeners_added),
        "listeners_told": _pairs(changes.listeners_told),
        "timers_told": _pairs(changes.timers_told),
        "timers_disarmed": _pairs(changes.timers_disarmed),
        "timers_armed": _pairs(changes.timers_armed),
    }
    return _encode({name: rows for name, rows in members.items() if rows})


def to_json(value: Mapping[str, str] | tuple[str, ...] | None) -> str | None:
    """Encode for a column of JSON."""
    return None if value is None else _encode(value).decode()


def _to_value(headers: str | None, data: str | None) -> Value:
    if headers is None:
        return EMPTY if data is None else Value(data=data)
    return Value(headers=decode_map(headers), data=data)


def _pairs(pairs: Iterable[Callback | Listener | Timer]) -> list[tuple[Cell, ...]]:
    return [astuple(pair) for pair in pairs]


def _created_row(promise: Promise) -> tuple[Cell, ...]:
    task = promise.task
    fixed = (
        (None, None, None) if task is None else (task.group, task.priority, task.concurrency_key)
    )
    return (
        promise.id,
        promise.origin,
        promise.branch,
        promise.parent,
        promise.timeout_at_ms,
        promise.created_at_ms,
        promise.tags,
        promise.param.headers,
        promise.param.data,
        *fixed,
        promise.state,
        promise.settled_at_ms,
        promise.timer_at_ms,
        promise.value.headers,
        promise.value.data,
        *_task_row(task),
    )


def _updated_row(promise: Promise, stored: Promise) -> tuple[Cell, ...]:
    value = EMPTY if promise.value == stored.value else promise.value
    return (
        promise.id,
        promise.state,
        promise.settled_at_ms,
        promise.timer_at_ms,
        value.headers,
        value.data,
        *_task_row(promise.task),
    )


def _task_row(task: Task | None) -> tuple[Cell, ...]:
    """The columns of a task; a default is a null, and `store_v2` puts it in its place."""
    if task is None:
        return _NO_TASK
    return (
        task.state,
        task.version,
        task.pid,
        task.last_pid,
        task.lease_ms,
        task.expires_at_ms,
        task.resumes or None,
        task.is_resumed or None,
        task.retry_at_ms,
        task.queued_at_ms,
        task.hint_at_ms,
        task.is_hint_sticky or None,
        task.attempts or None,
        task.lease_losses or None,
    )
