from resonate_broker.operations.schedule_delete import schedule_delete
from resonate_sdk.protocol.requests import ScheduleDelete
from resonate_sdk.protocol.responses import Nothing
from tests.unit.broker.builders import decide, make_schedule

DELETE = ScheduleDelete(id="s")


def test_a_schedule_that_does_not_exist_is_answered_404():
    assert decide(schedule_delete, DELETE).status == 404


def test_a_schedule_is_deleted_and_nothing_else():
    decision = decide(schedule_delete, DELETE, schedules=[make_schedule()])

    assert (decision.status, decision.data) == (200, Nothing())
    assert decision.changes.schedules_deleted == ("s",)
    assert (decision.changes.created, decision.changes.updated) == ((), ())
