from resonate_broker.operations.schedule_get import schedule_get
from resonate_sdk.protocol.requests import ScheduleGet
from tests.unit.broker.builders import decide, make_schedule


def test_a_schedule_that_does_not_exist_is_answered_404():
    assert decide(schedule_get, ScheduleGet(id="s")).status == 404


def test_a_schedule_is_shown_with_its_instants():
    stored = make_schedule(last_run_at_ms=7)

    decision = decide(schedule_get, ScheduleGet(id="s"), schedules=[stored])

    record = decision.data.schedule
    assert (decision.status, decision.is_write) == (200, False)
    assert (record.id, record.last_run_at_ms) == ("s", 7)
    assert record.next_run_at_ms == stored.next_run_at_ms
