import pytest
from msgspec.structs import replace

from resonate_broker.operations.task_get import task_get
from resonate_sdk.protocol.records import TaskState, Trouble
from resonate_sdk.protocol.requests import TaskGet
from resonate_store.state import TaskTrouble
from tests.unit.broker.builders import DEADLINE, NOW, decide, make_promise, make_targeted, make_task

GET = TaskGet(id="t")


def test_a_task_that_does_not_exist_is_answered_404():
    decision = decide(task_get, GET)

    assert (decision.status, decision.is_write) == (404, False)


def test_a_promise_without_a_target_has_no_task():
    decision = decide(task_get, GET, make_promise("t"))

    assert (decision.status, decision.is_write) == (404, False)


@pytest.mark.parametrize("state", ["pending", "suspended", "halted"])
def test_a_task_that_nobody_holds_shows_neither_holder_nor_lease(state: TaskState):
    decision = decide(task_get, GET, make_targeted("t", state, version=3, resumes=("a", "b")))

    task = decision.data.task
    assert (decision.status, decision.is_write) == (200, False)
    assert (task.id, task.state, task.version, task.resumes) == ("t", state, 3, 2)
    assert (task.pid, task.lease_ms) == (None, None)


def test_an_acquired_task_shows_its_holder_and_the_length_of_its_lease():
    stored = make_targeted("t", "acquired", version=3, pid="w7", lease_ms=9_000)

    decision = decide(task_get, GET, stored)

    task = decision.data.task
    assert (task.state, task.version, task.pid, task.lease_ms) == ("acquired", 3, "w7", 9_000)


def test_the_task_of_a_settled_promise_is_fulfilled():
    stored = make_promise("t", state="resolved", task=make_task("fulfilled", version=3))

    decision = decide(task_get, GET, stored)

    assert (decision.data.task.state, decision.data.task.version) == ("fulfilled", 3)


@pytest.mark.parametrize("state", ["pending", "acquired", "suspended", "halted"])
def test_from_the_deadline_of_its_promise_on_a_task_is_fulfilled_and_cleared(state: TaskState):
    stored = make_targeted("t", state, version=3, resumes=("a",))

    decision = decide(task_get, GET, stored, now_ms=DEADLINE)

    task = decision.data.task
    assert (task.state, task.version, task.resumes) == ("fulfilled", 3, 0)
    assert (task.pid, task.lease_ms) == (None, None)
    assert decision.task().state == "fulfilled"
    assert decision.promise("t").state == "rejected_timedout"


def test_a_millisecond_before_the_deadline_the_task_is_as_it_was():
    decision = decide(task_get, GET, make_targeted("t", "suspended"), now_ms=DEADLINE - 1)

    assert (decision.data.task.state, decision.is_write) == ("suspended", False)


def test_details_are_shown_to_who_asks_for_them():
    stored = make_targeted("t", "acquired", version=3, pid="w7", lease_ms=9_000)

    plain = decide(task_get, GET, stored)
    detailed = decide(task_get, TaskGet(id="t", details=True), stored)

    assert plain.data.task.details is None
    details = detailed.data.task.details
    assert detailed.data.task == replace(plain.data.task, details=details)
    assert stored.task is not None
    assert (details.group, details.expires_at_ms) == (stored.task.group, stored.task.expires_at_ms)
    assert (details.retry_at_ms, details.hint_at_ms, details.hints) == (None, None, 0)


def test_the_details_of_a_waiting_task_tell_of_its_dispatch():
    stored = make_targeted("t", "pending", hint_at_ms=NOW - 5, attempts=2, lease_losses=3)

    details = decide(task_get, TaskGet(id="t", details=True), stored).data.task.details

    assert stored.task is not None
    assert (details.hint_at_ms, details.hints, details.lease_losses) == (NOW - 5, 2, 3)
    assert details.retry_at_ms == stored.task.retry_at_ms


@pytest.mark.parametrize(
    ("state", "version", "is_shown"),
    [
        ("acquired", 3, True),
        ("acquired", 4, True),  # the one after, which has not told anything yet
        ("acquired", 5, False),
        ("pending", 3, True),
        ("pending", 4, False),
        ("halted", 3, True),
        ("suspended", 3, False),
    ],
)
def test_the_last_trouble_is_shown_until_somebody_gets_further(
    state: TaskState, version: int, is_shown: bool
):
    stored = make_targeted("t", state, version=version)
    told = Trouble(id="t", reason="no money", pid="w", attempts=1, at_ms=NOW)
    row = TaskTrouble(task="t", origin="t", version=3, trouble=told)

    plain = decide(task_get, GET, stored, troubles=[row])
    detailed = decide(task_get, TaskGet(id="t", details=True), stored, troubles=[row])

    assert plain.data.task.details is None
    assert detailed.data.task.details.trouble == (told if is_shown else None)
