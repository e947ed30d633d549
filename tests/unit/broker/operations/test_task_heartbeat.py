from typing import Any

import pytest

from resonate_broker.operations.task_heartbeat import task_heartbeat
from resonate_sdk.protocol.records import TaskRef, TaskState
from resonate_sdk.protocol.requests import TaskHeartbeat
from resonate_sdk.protocol.responses import Beaten
from resonate_store.state import Promise
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    decide,
    make_promise,
    make_targeted,
    make_task,
)

LEASE = 15_000


def make_request(*refs: tuple[str, int], pid: str = "w1") -> TaskHeartbeat:
    return TaskHeartbeat(pid=pid, tasks=tuple(TaskRef(id=id, version=v) for id, v in refs))


def make_held(id: str = "t", **task: Any) -> Promise:
    return make_targeted(id, "acquired", **({"version": 3} | task))


def lost(*refs: tuple[str, int]) -> Beaten:
    return Beaten(lost=tuple(TaskRef(id=id, version=v) for id, v in refs))


def test_the_lease_of_a_held_task_starts_anew_with_its_full_length():
    held = make_held(lease_ms=LEASE, expires_at_ms=NOW + 3)

    decision = decide(task_heartbeat, make_request(("t", 3)), held)

    task = decision.task()
    assert (decision.status, decision.data) == (200, Beaten())
    assert (task.expires_at_ms, task.lease_ms) == (NOW + LEASE, LEASE)
    assert (task.state, task.version, task.pid) == ("acquired", 3, "w1")


def test_a_lease_that_ran_out_unnoticed_starts_anew():
    decision = decide(task_heartbeat, make_request(("t", 3)), make_held(expires_at_ms=NOW - 99))

    assert decision.task().expires_at_ms == NOW + LEASE


@pytest.mark.parametrize(
    ("ref", "pid"), [(("t", 2), "w1"), (("t", 4), "w1"), (("t", 3), "w2"), (("missing", 3), "w1")]
)
def test_what_the_process_does_not_hold_is_skipped_and_listed(ref: tuple[str, int], pid: str):
    decision = decide(task_heartbeat, make_request(ref, pid=pid), make_held())

    assert (decision.status, decision.data) == (200, lost(ref))
    assert not decision.is_write


@pytest.mark.parametrize("state", ["pending", "suspended", "halted"])
def test_a_task_that_is_not_acquired_is_skipped_and_listed(state: TaskState):
    decision = decide(task_heartbeat, make_request(("t", 3)), make_targeted("t", state, version=3))

    assert (decision.status, decision.data) == (200, lost(("t", 3)))
    assert not decision.is_write


def test_promises_without_a_task_and_settled_ones_are_skipped_and_listed():
    settled = make_promise("s", state="resolved", task=make_task("fulfilled", version=3))

    decision = decide(task_heartbeat, make_request(("p", 0), ("s", 3)), make_promise("p"), settled)

    assert decision.data == lost(("p", 0), ("s", 3))


def test_a_task_whose_promise_is_at_its_deadline_is_lost_and_the_verdict_is_stored():
    decision = decide(task_heartbeat, make_request(("t", 3)), make_held(), now_ms=DEADLINE)

    assert decision.data == lost(("t", 3))
    assert decision.promise("t").state == "rejected_timedout"


def test_each_task_is_decided_by_itself():
    decision = decide(
        task_heartbeat,
        make_request(("a", 3), ("gone", 1), ("b", 1), ("c", 3)),
        make_held("a", expires_at_ms=NOW),
        make_held("b", expires_at_ms=NOW),
        make_held("c", expires_at_ms=NOW),
    )

    assert decision.data == lost(("gone", 1), ("b", 1))
    assert [promise.id for promise in decision.changes.updated] == ["a", "c"]


def test_tasks_of_different_origins_go_together():
    decision = decide(
        task_heartbeat, make_request(("a.1", 3), ("b.1", 3)), make_held("a.1"), make_held("b.1")
    )

    assert decision.data == Beaten()


def test_a_second_heartbeat_at_the_same_instant_changes_nothing():
    first = decide(task_heartbeat, make_request(("t", 3)), make_held())

    second = decide(task_heartbeat, make_request(("t", 3)), first.promise("t"))

    assert (second.data, second.is_write) == (first.data, False)


def test_a_task_that_is_named_twice_is_prolonged_once():
    decision = decide(task_heartbeat, make_request(("t", 3), ("t", 3)), make_held())

    assert decision.data == Beaten()
    assert decision.loads[0].ids == ("t",)
