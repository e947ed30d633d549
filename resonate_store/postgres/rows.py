"""Promises as rows of PostgreSQL, and changes as arrays of columns.

The order of columns is that of `queries.sql`, and of `load_v1` and `store_v1`.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, TypeAlias

import msgspec

from resonate_sdk.protocol.records import EMPTY, Value
from resonate_store.state import Callback, Changes, Listener, Promise, Task, Timer

Cell: TypeAlias = str | int | bool | None
Column: TypeAlias = Sequence[Cell] | None

_CREATED_WIDTH = 31
_UPDATED_WIDTH = 20
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


def to_columns(changes: Changes, stored: Mapping[str, Promise]) -> list[Column]:
    """Make the parameters of `store_v1`.

    Args:
        changes: what to write.
        stored: the updated promises as they were, by id; a value they have already is not
            written again.
    """
    return [
        *_columns([_created_row(promise) for promise in changes.created], _CREATED_WIDTH),
        *_columns([_updated_row(p, stored[p.id]) for p in changes.updated], _UPDATED_WIDTH),
        *_pairs(changes.callbacks_added),
        *_pairs(changes.callbacks_consumed),
        *_pairs(changes.listeners_added),
        *_pairs(changes.listeners_told),
        *_pairs(changes.timers_told),
        *_pairs(changes.timers_disarmed),
        *_pairs(changes.timers_armed),
    ]


def to_json(value: Mapping[str, str] | tuple[str, ...] | None) -> str | None:
    """Encode for a column of JSON."""
    return None if value is None else _encode(value).decode()


def _to_value(headers: str | None, data: str | None) -> Value:
    if headers is None:
        return EMPTY if data is None else Value(data=data)
    return Value(headers=decode_map(headers), data=data)


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
        to_json(promise.tags),
        to_json(promise.param.headers),
        promise.param.data,
        *fixed,
        promise.state,
        promise.settled_at_ms,
        promise.timer_at_ms,
        to_json(promise.value.headers),
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
        to_json(value.headers),
        value.data,
        *_task_row(promise.task),
    )


def _task_row(task: Task | None) -> tuple[Cell, ...]:
    """The columns of a task; a default is a null, and `store_v1` puts it in its place."""
    if task is None:
        return _NO_TASK
    return (
        task.state,
        task.version,
        task.pid,
        task.last_pid,
        task.lease_ms,
        task.expires_at_ms,
        to_json(task.resumes) if task.resumes else None,
        task.is_resumed or None,
        task.retry_at_ms,
        task.queued_at_ms,
        task.hint_at_ms,
        task.is_hint_sticky or None,
        task.attempts or None,
        task.lease_losses or None,
    )


def _pairs(pairs: Iterable[Callback | Listener | Timer]) -> Iterable[Column]:
    return _columns([msgspec.structs.astuple(pair) for pair in pairs], 2)


def _columns(rows: Sequence[tuple[Cell, ...]], width: int) -> Iterable[Column]:
    """Turn rows into columns; a column of nulls, and each of no rows, is a null."""
    if not rows:
        return repeat(None, width)
    count = len(rows)
    return [None if column.count(None) == count else column for column in zip(*rows, strict=True)]
