import pytest

from resonate_broker.operations.task_report import task_report
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import TaskState, Trouble
from resonate_sdk.protocol.requests import TaskReport
from resonate_sdk.protocol.responses import Nothing
from resonate_store.state import TaskTrouble
from tests.unit.broker.builders import (
    DEADLINE,
    NOW,
    decide,
    make_promise,
    make_targeted,
    make_task,
)

REPORT = TaskReport(id="t", version=3, promise="t.1", reason="no money", attempts=2, again_ms=500)


def test_what_the_holder_tells_is_kept_beside_the_task():
    stored = make_targeted("t", "acquired", version=3, pid="w7")

    decision = decide(task_report, REPORT, stored)

    told = Trouble(
        id="t.1", reason="no money", pid="w7", attempts=2, at_ms=NOW, again_at_ms=NOW + 500
    )
    assert (decision.status, decision.data) == (200, Nothing())
    assert decision.changes.troubles_put == (
        TaskTrouble(task="t", origin="t", version=3, trouble=told),
    )
    assert decision.promise("t") == stored


def test_it_goes_with_the_tree_of_the_task():
    stored = make_promise("t", task=make_task("acquired", version=3), tags={tags.ORIGIN: "root"})

    (row,) = decide(task_report, REPORT, stored).changes.troubles_put

    assert row.origin == "root"


@pytest.mark.parametrize("state", ["pending", "suspended", "halted"])
def test_who_does_not_hold_the_task_has_nothing_to_tell(state: TaskState):
    assert decide(task_report, REPORT, make_promise("t")).status == 404
    for stored in (make_targeted("t", state, version=3), make_targeted("t", "acquired", version=4)):
        decision = decide(task_report, REPORT, stored)

        assert (decision.status, decision.is_write) == (409, False)


def test_at_the_deadline_of_its_promise_the_verdict_is_stored():
    stored = make_targeted("t", "acquired", version=3)

    decision = decide(task_report, REPORT, stored, now_ms=DEADLINE)

    assert (decision.status, decision.changes.troubles_put) == (409, ())
    assert decision.promise("t").state == "rejected_timedout"
