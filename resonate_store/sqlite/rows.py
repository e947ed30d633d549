"""Rows of SQLite: a record as JSON, beside what it is found by."""

from typing import Any

import msgspec

from resonate_store.state import (
    Callback,
    Group,
    Listener,
    Promise,
    Schedule,
    TaskTrouble,
    Timer,
    Use,
)

_encode = msgspec.json.Encoder().encode
decode_promise = msgspec.json.Decoder(Promise).decode
decode_group = msgspec.json.Decoder(Group).decode
decode_schedule = msgspec.json.Decoder(Schedule).decode
decode_trouble = msgspec.json.Decoder(TaskTrouble).decode


def to_promise(row: tuple[str]) -> Promise:
    """The promise of a row that is its record alone."""
    return decode_promise(row[0])


def insert_row(promise: Promise) -> tuple[Any, ...]:
    """What `insert_promise` takes."""
    task = promise.task
    return (
        promise.id,
        _encode(promise).decode(),
        promise.origin,
        promise.branch,
        promise.parent,
        None if task is None else task.group,
        None if task is None else task.queued_at_ms,
    )


def update_row(promise: Promise) -> tuple[Any, ...]:
    """What `update_promise` takes."""
    queued_at_ms = None if promise.task is None else promise.task.queued_at_ms
    return (_encode(promise).decode(), queued_at_ms, promise.id)


def schedule_row(schedule: Schedule) -> tuple[Any, ...]:
    """A schedule, and what it is found by."""
    return (schedule.id, _encode(schedule).decode(), schedule.next_run_at_ms)


def group_row(group: Group) -> tuple[str, str]:
    """The limits of a group, and what they are found by."""
    return (group.name, _encode(group).decode())


def trouble_row(row: TaskTrouble) -> tuple[str, str, str]:
    """What a holder has told, and what it is found by."""
    return (row.task, row.origin, _encode(row).decode())


def single(id: str) -> tuple[str]:
    """A row that is a name."""
    return (id,)


def pair(pair: Callback | Listener | Timer | Use) -> tuple[Any, ...]:
    """A row of two columns."""
    return msgspec.structs.astuple(pair)
