from typing import Any

import pytest

from resonate_broker.operations.schedule_create import schedule_create
from resonate_broker.operations.schedule_get import schedule_get
from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.records import Value
from resonate_sdk.protocol.requests import ScheduleCreate, ScheduleGet
from tests.unit.broker.builders import NOW, TARGET, decide, make_schedule

NEXT_MINUTE_MS = (NOW // 60_000 + 1) * 60_000


def make_request(**overrides: Any) -> ScheduleCreate:
    fields: dict[str, Any] = {
        "id": "s",
        "cron": "* * * * *",
        "promise_id": "{{.id}}.{{.timestamp}}",
        "promise_timeout_ms": 5_000,
    }
    return ScheduleCreate(**(fields | overrides))


def test_a_new_schedule_is_answered_with_its_first_instant():
    request = make_request(promise_param=Value(data="x"), promise_tags={tags.TARGET: TARGET})

    decision = decide(schedule_create, request)

    record = decision.data.schedule
    assert decision.status == 200
    assert (record.id, record.cron) == ("s", "* * * * *")
    assert (record.created_at_ms, record.next_run_at_ms) == (NOW, NEXT_MINUTE_MS)
    assert record.last_run_at_ms is None
    assert (record.timezone, record.overlap, record.missed) == ("UTC", "allow", "all")
    assert (record.promise_param, record.promise_timeout_ms) == (Value(data="x"), 5_000)
    assert [schedule.id for schedule in decision.changes.schedules_created] == ["s"]


def test_the_first_instant_is_one_of_its_time_zone():
    request = make_request(cron="0 9 * * *", timezone="Asia/Tokyo")

    record = decide(schedule_create, request).data.schedule

    assert record.next_run_at_ms % 86_400_000 == 0  # nine o'clock there is midnight UTC


def test_a_schedule_that_exists_is_answered_as_it_is():
    stored = make_schedule(last_run_at_ms=NOW - 5)

    decision = decide(schedule_create, make_request(cron="0 0 1 1 *"), schedules=[stored])

    assert (decision.status, decision.is_write) == (200, False)
    assert decision.data == decide(schedule_get, ScheduleGet(id="s"), schedules=[stored]).data


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"cron": "* * * * * *"}, "cron '* * * * * *' has 6 fields"),
        ({"cron": "61 * * * *"}, "cron '61 * * * *'"),
        ({"cron": "0 0 31 2 *"}, "cron '0 0 31 2 *'"),
        ({"timezone": "Mars/Olympus"}, "timezone 'Mars/Olympus'"),
        ({"promise_tags": {tags.TARGET: "http://x"}}, "resonate:target"),
        ({"promise_tags": {tags.TARGET: TARGET, tags.TIMER: "true"}}, "a timer or has"),
        ({"promise_tags": {tags.TARGET: TARGET, tags.DELAY: "5"}}, "resonate:delay '5'"),
        ({"promise_tags": {tags.TARGET: TARGET, tags.PRIORITY: "10"}}, "resonate:priority: a pri"),
        ({"promise_id": "{{.timestamp}}" * 60}, f"the limit is {limits.ID_BYTES_MAX}"),
        ({"promise_tags": {f"t{n}": "" for n in range(limits.TAGS_MAX)}}, "69 tags"),
    ],
)
def test_a_schedule_whose_promises_could_not_be_created_is_refused(
    overrides: dict[str, Any], words: str
):
    decision = decide(schedule_create, make_request(**overrides))

    assert (decision.status, decision.loads) == (400, ())
    assert words in decision.data
