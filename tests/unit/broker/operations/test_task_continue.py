import pytest

from resonate_broker.operations.task_continue import task_continue
from resonate_sdk.protocol.records import TaskState
from resonate_sdk.protocol.requests import TaskContinue
from resonate_sdk.protocol.responses import Nothing
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    decide,
    make_promise,
    make_targeted,
    make_task,
)

CONTINUE = TaskContinue(id="t")


def test_a_task_that_does_not_exist_is_answered_404():
    assert decide(task_continue, CONTINUE).status == 404
    assert decide(task_continue, CONTINUE, make_promise("t")).status == 404


def test_a_halted_task_is_pending_at_its_version_and_due_at_once():
    stored = make_targeted("t", "halted", version=3, resumes=("a",))

    decision = decide(task_continue, CONTINUE, stored)

    task = decision.task()
    assert (decision.status, decision.data) == (200, Nothing())
    assert (task.state, task.version, task.retry_at_ms) == ("pending", 3, NOW)
    assert (task.resumes, task.is_resumed) == (("a",), False)


@pytest.mark.parametrize("state", ["pending", "acquired", "suspended"])
def test_a_task_that_is_not_halted_is_refused_without_a_write(state: TaskState):
    decision = decide(task_continue, CONTINUE, make_targeted("t", state, version=3))

    assert (decision.status, decision.is_write) == (409, False)


def test_the_task_of_a_settled_promise_is_refused():
    stored = make_promise("t", state="resolved", task=make_task("fulfilled", version=3))

    assert decide(task_continue, CONTINUE, stored).status == 409


def test_at_the_deadline_of_its_promise_it_is_refused_and_the_verdict_is_stored():
    decision = decide(task_continue, CONTINUE, make_targeted("t", "halted"), now_ms=DEADLINE)

    assert decision.status == 409
    assert decision.task().state == "fulfilled"
