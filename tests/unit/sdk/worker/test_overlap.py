"""When a body may start before its task is acquired: C10, condition by condition."""

import pytest
from msgspec.structs import replace

from resonate_sdk.protocol.messages import Hint, HintData, Invoke, MessageHead, Resume
from resonate_sdk.protocol.records import PromiseRecord, TaskRef
from resonate_sdk.transport import Arrival
from resonate_sdk.worker.overlap import StartedTasks, may_overlap
from tests.unit.sdk.wire import make_record

NOW_MS = 1_700_000_000_000
PROMISE = make_record("x", timeout_at_ms=NOW_MS + 60_000)


def make_hint(
    kind: type[Hint] = Invoke,
    *,
    version: int = 0,
    promise: PromiseRecord | None = PROMISE,
    sent_at_ms: int = NOW_MS,
    attempt: int = 0,
) -> Hint:
    data = HintData(task=TaskRef(id="x", version=version), promise=promise)
    return kind(head=MessageHead(sent_at_ms=sent_at_ms, attempt=attempt), data=data)


ARRIVAL = Arrival(server_now_ms=NOW_MS)


def test_a_fresh_hint_may_overlap():
    assert may_overlap(make_hint(), ARRIVAL)


@pytest.mark.parametrize(
    "hint",
    [
        make_hint(Resume),
        make_hint(version=1),
        make_hint(attempt=1),
        make_hint(promise=None),
        make_hint(promise=replace(PROMISE, id="y")),
        make_hint(promise=replace(PROMISE, state="resolved")),
        make_hint(promise=replace(PROMISE, state="rejected_canceled")),
        make_hint(promise=replace(PROMISE, timeout_at_ms=NOW_MS + 1_000)),
        make_hint(promise=replace(PROMISE, timeout_at_ms=NOW_MS - 1)),
        make_hint(sent_at_ms=NOW_MS - 1_000),
        make_hint(sent_at_ms=NOW_MS + 51),
        make_hint(sent_at_ms=0),
    ],
)
def test_a_hint_that_is_not_fresh_must_wait(hint):
    assert not may_overlap(hint, ARRIVAL)


@pytest.mark.parametrize(
    "hint",
    [
        make_hint(promise=replace(PROMISE, timeout_at_ms=NOW_MS + 1_001)),
        make_hint(sent_at_ms=NOW_MS - 999),
        make_hint(sent_at_ms=NOW_MS + 50),
    ],
)
def test_a_hint_that_is_just_fresh_enough_may_overlap(hint):
    assert may_overlap(hint, ARRIVAL)


@pytest.mark.parametrize(
    "change", [{"is_redelivered": True}, {"is_dead_lettered": True}, {"server_now_ms": None}]
)
def test_a_hint_that_somebody_may_have_had_or_whose_age_is_unknown_must_wait(change):
    assert not may_overlap(make_hint(), replace(ARRIVAL, **change))


def test_a_task_is_started_for_the_first_time_once():
    started = StartedTasks()

    assert started.add(TaskRef(id="x", version=0))
    assert not started.add(TaskRef(id="x", version=0))
    assert started.add(TaskRef(id="x", version=1))
    assert started.add(TaskRef(id="y", version=0))


def test_of_many_started_tasks_the_oldest_are_forgotten():
    started = StartedTasks(count_max=2)
    for id in ("x", "y", "z"):
        started.add(TaskRef(id=id, version=0))

    assert not started.add(TaskRef(id="y", version=0))
    assert not started.add(TaskRef(id="z", version=0))
    assert started.add(TaskRef(id="x", version=0))
