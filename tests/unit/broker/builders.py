"""Rows and working states with sensible defaults, and a way to drive an operation to its answer."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load, Outgoing
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import addresses, limits, tags
from resonate_sdk.protocol.messages import HintData, Invoke, MessageHead, Notify, NotifyData
from resonate_sdk.protocol.records import TaskRef, TaskState, TriggerRecord, Value
from resonate_sdk.protocol.requests import PromiseCreate, Request
from resonate_sdk.protocol.responses import Answer
from resonate_store.state import (
    Callback,
    Changes,
    Group,
    Listener,
    Loaded,
    LoadSet,
    Promise,
    Schedule,
    Task,
    TaskTrouble,
)

NOW = 1_000_000
BIRTH = 900_000
DEADLINE = 2_000_000
TARGET = "amqp://any@g"
VALUE = Value(data="eyJ4IjoxfQ==")


def make_task(state: TaskState = "pending", **overrides: Any) -> Task:
    """A task as it looks in this state, of the group `g`."""
    fields: dict[str, Any] = {"version": 0 if state == "pending" else 1, "group": "g"}
    if state == "acquired":
        fields |= {"pid": "w1", "last_pid": "w1", "lease_ms": 15_000, "expires_at_ms": NOW + 5_000}
    if state == "pending":
        fields |= {"retry_at_ms": NOW}
    return Task(state=state, **(fields | overrides))


def make_promise(id: str = "p", **overrides: Any) -> Promise:
    """A promise that others may await; with a task it has a target, settled ones an instant."""
    task = overrides.get("task")
    fields: dict[str, Any] = {
        "state": "pending",
        "param": Value(),
        "tags": {tags.EXTERNAL: tags.TRUE} if task is None else {tags.TARGET: TARGET},
        "timeout_at_ms": DEADLINE,
        "created_at_ms": BIRTH,
    }
    if overrides.get("state", "pending") != "pending":
        fields |= {"settled_at_ms": BIRTH + 1}
    overrides["tags"] = fields["tags"] | overrides.get("tags", {})
    return Promise(id=id, **(fields | overrides))


def make_targeted(id: str = "t", task_state: TaskState = "pending", **task: Any) -> Promise:
    """A pending promise with a task in this state."""
    return make_promise(id, task=make_task(task_state, **task))


def make_internal(id: str = "i", **overrides: Any) -> Promise:
    """A promise that only its own pass settles, so that nobody may await it."""
    return replace(make_promise(id, **overrides), tags={tags.SCOPE: tags.SCOPE_LOCAL})


def make_schedule(id: str = "s", **overrides: Any) -> Schedule:
    """A schedule of every minute whose next instant is the first after `BIRTH`."""
    fields: dict[str, Any] = {
        "cron": "* * * * *",
        "timezone": "UTC",
        "overlap": "allow",
        "missed": "all",
        "promise_id": "{{.id}}.{{.timestamp}}",
        "promise_timeout_ms": 3_600_000,
        "promise_tags": {tags.TARGET: TARGET},
        "created_at_ms": BIRTH,
        "next_run_at_ms": (BIRTH // 60_000 + 1) * 60_000,
    }
    return Schedule(id=id, **(fields | overrides))


def make_create(id: str = "p", **overrides: Any) -> PromiseCreate:
    """A creation as it comes from the edge; `target` is short for the tag."""
    target = overrides.pop("target", None)
    fields: dict[str, Any] = {
        "timeout_at_ms": DEADLINE,
        "tags": {tags.EXTERNAL: tags.TRUE} if target is None else {tags.TARGET: target},
    }
    overrides["tags"] = fields["tags"] | overrides.get("tags", {})
    return PromiseCreate(id=id, **(fields | overrides))


def make_state(
    *stored: Promise,
    named: Iterable[str] = (),
    settling: Iterable[str] = (),
    preload: Iterable[str] = (),
    branches: Iterable[str] = (),
    callbacks: Iterable[Callback] = (),
    listeners: Iterable[Listener] = (),
    related: Iterable[Promise] = (),
    schedules: Iterable[Schedule] = (),
    named_schedules: Iterable[str] = (),
    groups: Iterable[Group] = (),
    named_groups: Iterable[str] = (),
    troubles: Iterable[TaskTrouble] = (),
    now_ms: int = NOW,
) -> WorkingState:
    """The working state of a batch that loaded exactly these rows.

    Args:
        stored: locked rows.
        named: ids that were asked for as well and do not exist.
        settling: ids whose callbacks and listeners are known.
        preload: roots whose relatives were read.
        branches: whose members were read.
        callbacks: of the settling ones.
        listeners: of the settling ones.
        related: rows read for preloads.
        schedules: locked rows.
        named_schedules: ids that were asked for as well and do not exist.
        groups: locked rows.
        named_groups: groups that were asked for as well and have no limits.
        troubles: what holders have told.
        now_ms: the instant of the batch.
    """
    ids = {promise.id for promise in stored} | set(named)
    schedules, groups = tuple(schedules), tuple(groups)
    load = LoadSet(
        ids=tuple(sorted(ids)),
        settling=tuple(sorted(settling)),
        preload=tuple(sorted(preload)),
        branches=tuple(sorted(branches)),
        schedules=tuple(sorted({s.id for s in schedules} | set(named_schedules))),
        groups=tuple(sorted({g.name for g in groups} | set(named_groups))),
    )
    loaded = Loaded(
        now_ms=now_ms,
        promises=stored,
        callbacks=tuple(callbacks),
        listeners=tuple(listeners),
        related=tuple(related),
        schedules=schedules,
        groups=groups,
        troubles=tuple(troubles),
    )
    return WorkingState(load, loaded, now_ms)


class Decision(Struct, frozen=True):
    """What an operation asked for, decided and changed.

    Attributes:
        loads: what it loaded, one for each time it started over.
    """

    answer: Answer
    loads: tuple[Load, ...]
    state: WorkingState
    changes: Changes

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self.answer.status

    @property
    def data(self) -> Any:
        """The data of the answer, whose type the caller knows."""
        return self.answer.data

    def promise(self, id: str = "p") -> Promise:
        """A promise as the operation left it."""
        promise = self.state.promise(id)
        assert promise is not None, id
        return promise

    def task(self, id: str = "t") -> Task:
        """A task as the operation left it."""
        task = self.promise(id).task
        assert task is not None, id
        return task

    @property
    def is_write(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.changes)


def decide(
    operation: Callable[[Any], Operation],
    request: Request,
    *stored: Promise,
    callbacks: Iterable[Callback] = (),
    listeners: Iterable[Listener] = (),
    related: Iterable[Promise] = (),
    locked_elsewhere: Iterable[str] = (),
    schedules: Iterable[Schedule] = (),
    groups: Iterable[Group] = (),
    troubles: Iterable[TaskTrouble] = (),
    now_ms: int | Iterable[int] = NOW,
) -> Decision:
    """Run an operation alone on what is stored, as a batch of one would.

    Args:
        operation: what to run.
        request: what it is asked.
        stored: all promises of the store.
        callbacks: all of the store.
        listeners: all of the store.
        related: what a preload finds besides, without a lock.
        locked_elsewhere: awaiters that another server holds.
        schedules: all of the store.
        groups: all of the store.
        troubles: all of the store.
        now_ms: the instant of the batch; a sequence if it starts over.
    """
    instants = iter((now_ms,) * 3 if isinstance(now_ms, int) else now_ms)
    rows = {promise.id: promise for promise in (*related, *stored)}
    loads: list[Load] = []
    while True:
        body = operation(request)
        try:
            first = body.send(None)
        except StopIteration as stop:
            return Decision(stop.value, (), make_state(), Changes())
        assert isinstance(first, Load), first
        loads = loads or [first]
        state = _load(
            loads,
            rows,
            callbacks,
            listeners,
            related,
            locked_elsewhere,
            {schedule.id: schedule for schedule in schedules},
            {group.name: group for group in groups},
            troubles,
            next(instants),
        )
        submission = body.send(state)
        if isinstance(submission, Load):
            loads.append(submission)
            body.close()
            continue
        assert isinstance(submission, Commit), submission
        assert submission.answer is not None, "a request is answered"
        answer = _end(body, submission.answer)
        return Decision(answer, tuple(loads), state, state.changes())


def _load(
    loads: list[Load],
    rows: dict[str, Promise],
    callbacks: Iterable[Callback],
    listeners: Iterable[Listener],
    related: Iterable[Promise],
    locked_elsewhere: Iterable[str],
    schedules: dict[str, Schedule],
    groups: dict[str, Group],
    troubles: Iterable[TaskTrouble],
    now_ms: int,
) -> WorkingState:
    named = {id for load in loads for id in load.ids}
    settling = {id for load in loads for id in load.settling}
    preload = {id for load in loads for id in load.preload}
    branches = {name for load in loads for name in load.branches}
    wanted = {id for load in loads for id in load.schedules}
    limited = {name for load in loads for name in load.groups}
    found = [callback for callback in callbacks if callback.awaited in settling]
    locked = (named | {callback.awaiter for callback in found}) - set(locked_elsewhere)
    return make_state(
        *(rows[id] for id in sorted(locked) if id in rows),
        named=named,
        settling=settling,
        preload=preload,
        callbacks=found,
        listeners=[listener for listener in listeners if listener.awaited in settling],
        branches=branches,
        related=related if preload | branches else (),
        schedules=[schedules[id] for id in sorted(wanted) if id in schedules],
        named_schedules=wanted,
        groups=[groups[name] for name in sorted(limited) if name in groups],
        named_groups=limited,
        troubles=[t for t in troubles if any(t.task in load.troubles for load in loads)],
        now_ms=now_ms,
    )


def _end(body: Operation, answer: Answer) -> Answer:
    with pytest.raises(StopIteration) as stop:
        body.send(answer)
    assert stop.value.value == answer, "the answer that was committed is the one that is given"
    return answer


def make_hint(id: str = "t", **overrides: Any) -> Invoke:
    """A hint for a task that was never acquired."""
    data = HintData(task=TaskRef(id=id, version=0))
    fields: dict[str, Any] = {"version": limits.VERSION}
    return Invoke(data=data, head=MessageHead(**(fields | overrides)))


def make_outgoing(id: str = "t", **overrides: Any) -> Outgoing:
    """A hint on its way to any worker of the group `g`."""
    fields: dict[str, Any] = {
        "group": "g",
        "pid": None,
        "is_exclusive": False,
        "message": make_hint(id),
    }
    return Outgoing(**(fields | overrides))


def make_news(promise: Promise, address: str, **overrides: Any) -> Outgoing:
    """The news of a settled promise on its way to a listener."""
    to = addresses.parse(address)
    fields: dict[str, Any] = {
        "group": to.group,
        "pid": to.pid,
        "is_exclusive": to.cast == "uni",
        "message": Notify(data=NotifyData(promise=rules.record(promise))),
        "listener": Listener(promise.id, address),
    }
    return Outgoing(**(fields | overrides))


def make_trigger(id: str = "orders", **overrides: Any) -> TriggerRecord:
    """A trigger whose events start `f` in the group `g`."""
    fields: dict[str, Any] = {
        "exchange": "shop",
        "routing_key": "order.*",
        "promise_id": "{{.trigger}}:{{.message_id}}",
        "func": "f",
        "target": TARGET,
        "timeout_ms": 60_000,
        "created_at_ms": BIRTH,
    }
    return TriggerRecord(id=id, **(fields | overrides))
