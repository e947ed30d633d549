"""What has happened to a promise, its task or a schedule: told from its row before and after.

Several steps of one task may be taken at once: it is created and acquired, or woken and settled. All
of them are told, in the order in which they are possible.
"""

from collections.abc import Iterator, Mapping

import msgspec

from resonate_sdk.protocol.records import PromiseState, Value
from resonate_sdk.protocol.tags import USER_HEADER
from resonate_store.state import Event, Promise, Schedule, Task

_SETTLED: dict[PromiseState, str] = {
    "resolved": "promise.resolved",
    "rejected": "promise.rejected",
    "rejected_canceled": "promise.canceled",
    "rejected_timedout": "promise.timedout",
}
# All that there are, in the order in which one life may have them.
KINDS = (
    "promise.created",
    "task.created",
    "task.acquired",
    "task.suspended",
    "task.resumed",
    "task.released",
    "task.lost",
    "task.halted",
    "task.continued",
    *_SETTLED.values(),
    "task.fulfilled",
    "schedule.created",
    "schedule.fired",
    "schedule.deleted",
)
_encode = msgspec.json.Encoder(order="deterministic").encode


def of_promise(before: Promise | None, after: Promise, now_ms: int) -> tuple[Event, ...]:
    """The transitions of a promise and its task; none if only its leases or timers have moved.

    Args:
        before: as it was; None if it was just created.
        after: as it is.
        now_ms: the instant of the change.
    """
    return tuple(_of_promise(before, after, now_ms))


def of_schedule(
    id: str, before: Schedule | None, after: Schedule | None, now_ms: int
) -> tuple[Event, ...]:
    """The transitions of a schedule; None stands for its absence."""
    return tuple(_of_schedule(id, before, after, now_ms))


def _of_promise(before: Promise | None, after: Promise, now_ms: int) -> Iterator[Event]:
    if before is None:
        yield _promise_event("promise.created", after, after.created_at_ms)
    was_settled = before is not None and before.state != "pending"
    if after.task is not None:
        task_before = None if before is None else before.task
        for kind in _of_task(task_before, after.task):
            if kind != "task.fulfilled":
                yield _task_event(kind, after, after.task, now_ms)
    if after.state != "pending" and not was_settled:
        at_ms = now_ms if after.settled_at_ms is None else after.settled_at_ms
        yield _promise_event(_SETTLED[after.state], after, at_ms)
        if after.task is not None:
            yield _task_event("task.fulfilled", after, after.task, now_ms)


def _of_task(before: Task | None, after: Task) -> Iterator[str]:
    if before is None:
        yield "task.created"
    state = "pending" if before is None else before.state
    version = 0 if before is None else before.version
    if state == "suspended" and after.is_resumed and after.version > version:
        yield "task.resumed"  # before it was acquired again
    if after.version > version:
        yield "task.acquired"
        state = "acquired"
    if after.state == state:
        return
    match after.state:
        case "pending" if state == "suspended":
            yield "task.resumed"
        case "pending" if state == "halted":
            yield "task.continued"
        case "pending":
            is_lost = after.lease_losses > (0 if before is None else before.lease_losses)
            yield "task.lost" if is_lost else "task.released"
        case _:
            yield f"task.{after.state}"


def _promise_event(kind: str, promise: Promise, at_ms: int) -> Event:
    document: dict[str, object] = {
        "id": promise.id,
        "state": promise.state,
        "tags": promise.tags,
        "createdAt": promise.created_at_ms,
        "timeoutAt": promise.timeout_at_ms,
        "settledAt": promise.settled_at_ms,
        "createdBy": _user(promise.param),
        "settledBy": _user(promise.value),
    }
    return _event(kind, promise, at_ms, document)


def _user(value: Value) -> str | None:
    return None if value.headers is None else value.headers.get(USER_HEADER)


def _task_event(kind: str, promise: Promise, task: Task, at_ms: int) -> Event:
    document = {
        "id": promise.id,
        "state": task.state,
        "version": task.version,
        "pid": task.pid,
        "group": task.group,
    }
    return _event(kind, promise, at_ms, document)


def _event(kind: str, promise: Promise, at_ms: int, document: Mapping[str, object]) -> Event:
    assert kind in KINDS, kind
    return Event(
        origin=promise.origin or promise.id,
        kind=kind,
        subject=promise.id,
        group="" if promise.task is None else promise.task.group,
        at_ms=at_ms,
        data=_encode(
            {name: found for name, found in document.items() if found is not None}
        ).decode(),
    )


def _of_schedule(
    id: str, before: Schedule | None, after: Schedule | None, now_ms: int
) -> Iterator[Event]:
    if after is None:
        if before is not None:
            yield _schedule_event("schedule.deleted", before, now_ms)
        return
    if before is None:
        yield _schedule_event("schedule.created", after, now_ms)
    elif before.last_run_at_ms != after.last_run_at_ms:
        yield _schedule_event("schedule.fired", after, now_ms)


def _schedule_event(kind: str, schedule: Schedule, now_ms: int) -> Event:
    document = {
        "id": schedule.id,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "nextRunAt": schedule.next_run_at_ms,
    }
    if (user := _user(schedule.promise_param)) is not None:
        document["createdBy"] = user
    if schedule.last_run_at_ms is not None:
        document["lastRunAt"] = schedule.last_run_at_ms
    return Event(
        origin=schedule.id,
        kind=kind,
        subject=schedule.id,
        group="",
        at_ms=now_ms,
        data=_encode(document).decode(),
    )
