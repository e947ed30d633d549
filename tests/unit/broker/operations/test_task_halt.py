import pytest

from resonate_broker.operations.task_halt import task_halt
from resonate_sdk.protocol.records import TaskState
from resonate_sdk.protocol.requests import TaskHalt
from resonate_sdk.protocol.responses import Nothing
from tests.unit.broker.builders import DEADLINE, decide, make_promise, make_targeted, make_task

HALT = TaskHalt(id="t")


def test_a_task_that_does_not_exist_is_answered_404():
    assert decide(task_halt, HALT).status == 404
    assert decide(task_halt, HALT, make_promise("t")).status == 404


@pytest.mark.parametrize("state", ["pending", "acquired", "suspended"])
def test_a_task_of_any_live_state_is_halted_at_its_version(state: TaskState):
    stored = make_targeted("t", state, version=3)

    decision = decide(task_halt, HALT, stored)

    task = decision.task()
    assert (decision.status, decision.data) == (200, Nothing())
    assert (task.state, task.version) == ("halted", 3)
    assert (task.pid, task.lease_ms, task.expires_at_ms, task.retry_at_ms) == (None,) * 4
    assert (task.queued_at_ms, task.hint_at_ms) == (None, None)


def test_what_it_has_been_told_of_settled_promises_is_kept():
    stored = make_targeted("t", "acquired", version=3, resumes=("a",))

    assert decide(task_halt, HALT, stored).task().resumes == ("a",)


def test_halting_twice_changes_nothing():
    decision = decide(task_halt, HALT, make_targeted("t", "halted", version=3))

    assert (decision.status, decision.is_write) == (200, False)


def test_the_task_of_a_settled_promise_is_refused():
    stored = make_promise("t", state="resolved", task=make_task("fulfilled", version=3))

    decision = decide(task_halt, HALT, stored)

    assert (decision.status, decision.is_write) == (409, False)


@pytest.mark.parametrize("state", ["pending", "acquired", "suspended", "halted"])
def test_at_the_deadline_of_its_promise_it_is_refused_and_the_verdict_is_stored(state: TaskState):
    decision = decide(task_halt, HALT, make_targeted("t", state, version=3), now_ms=DEADLINE)

    assert decision.status == 409
    assert decision.task().state == "fulfilled"
