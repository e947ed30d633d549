import pytest

from resonate_broker.kernel.submissions import Commit, Failed, Load, ReadSnapshot
from resonate_broker.operations.debug_snap import debug_snap
from resonate_sdk.protocol.requests import DebugSnap
from resonate_store.state import Snapshot
from tests.unit.broker.builders import DEADLINE, make_promise, make_state, make_targeted


def snap(found: Snapshot | Failed, now_ms: int = DEADLINE - 1):
    body = debug_snap(DebugSnap())
    assert [body.send(None), body.send(make_state(now_ms=now_ms))] == [Load(), Commit()]
    assert body.send(None) == ReadSnapshot()
    with pytest.raises(StopIteration) as stop:
        body.send(found)
    return stop.value.value


def test_what_cannot_be_read_is_answered_503():
    assert snap(Failed("no connection")).status == 503


def test_promises_and_tasks_are_shown_after_the_deadline_rule():
    found = Snapshot(promises=(make_promise("p"), make_targeted("t", "acquired", version=2)))

    before, after = snap(found).data, snap(found, DEADLINE).data

    assert [promise.state for promise in before.promises] == ["pending"] * 2
    assert [promise.state for promise in after.promises] == ["rejected_timedout"] * 2
    assert [task.state for task in before.tasks] == ["acquired"]
    assert [task.state for task in after.tasks] == ["fulfilled"]
