import pytest

from resonate_broker.operations.task_release import task_release
from resonate_sdk.protocol.records import TaskState
from resonate_sdk.protocol.requests import TaskRelease
from resonate_sdk.protocol.responses import Nothing
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    decide,
    make_promise,
    make_targeted,
    make_task,
)

RELEASE = TaskRelease(id="t", version=3)


def test_a_task_that_does_not_exist_is_answered_404():
    assert decide(task_release, RELEASE).status == 404
    assert decide(task_release, RELEASE, make_promise("t")).status == 404


def test_a_held_task_is_pending_again_at_the_same_version_and_due_at_once():
    stored = make_targeted("t", "acquired", version=3, resumes=("a",), is_resumed=True, attempts=4)

    decision = decide(task_release, RELEASE, stored)

    task = decision.task()
    assert (decision.status, decision.data) == (200, Nothing())
    assert (task.state, task.version, task.retry_at_ms) == ("pending", 3, NOW)
    assert (task.pid, task.lease_ms, task.expires_at_ms) == (None, None, None)
    assert (task.resumes, task.last_pid) == (("a",), "w1")
    assert (task.is_resumed, task.attempts) == (False, 0)


def test_releasing_says_nothing_about_lost_leases():
    stored = make_targeted("t", "acquired", version=3, lease_losses=2)

    decision = decide(task_release, RELEASE, stored)

    assert decision.task().lease_losses == 2


@pytest.mark.parametrize("version", [0, 2, 4])
def test_another_version_is_refused_without_a_write(version: int):
    decision = decide(
        task_release,
        TaskRelease(id="t", version=version),
        make_targeted("t", "acquired", version=3),
    )

    assert (decision.status, decision.is_write) == (409, False)


@pytest.mark.parametrize("state", ["pending", "suspended", "halted"])
def test_a_task_that_is_not_acquired_is_refused_without_a_write(state: TaskState):
    decision = decide(task_release, RELEASE, make_targeted("t", state, version=3))

    assert (decision.status, decision.is_write) == (409, False)


def test_the_task_of_a_settled_promise_is_refused():
    stored = make_promise("t", state="resolved", task=make_task("fulfilled", version=3))

    assert decide(task_release, RELEASE, stored).status == 409


def test_at_the_deadline_of_its_promise_the_holder_is_refused_and_the_verdict_is_stored():
    stored = make_targeted("t", "acquired", version=3)

    decision = decide(task_release, RELEASE, stored, now_ms=DEADLINE)

    assert decision.status == 409
    assert decision.promise("t").state == "rejected_timedout"
    assert decision.task().state == "fulfilled"


def test_a_lease_that_ran_out_unnoticed_is_still_held():
    stored = make_targeted("t", "acquired", version=3, expires_at_ms=NOW - 1)

    assert decide(task_release, RELEASE, stored).status == 200


def test_releasing_twice_is_refused():
    stored = make_targeted("t", "acquired", version=3)
    released = decide(task_release, RELEASE, stored).promise("t")

    assert decide(task_release, RELEASE, released).status == 409
