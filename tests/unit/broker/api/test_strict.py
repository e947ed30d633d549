import json

import pytest
from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.api import strict
from resonate_broker.occurrences import schedule_record
from resonate_sdk.protocol.envelope import encode_answer
from resonate_sdk.protocol.records import TaskRef
from resonate_sdk.protocol.requests import (
    GroupList,
    GroupSet,
    PromiseGet,
    PromiseSearch,
    Request,
    ScheduleSearch,
    TaskAcquire,
    TaskGet,
    TaskReport,
    TaskSearch,
    TriggerGet,
    TriggerSearch,
)
from resonate_sdk.protocol.responses import (
    OK,
    Answer,
    Beaten,
    Nothing,
    ScheduleData,
    TaskGranted,
)
from tests.unit.broker.builders import make_schedule, make_targeted


@pytest.mark.parametrize(
    "ours",
    [
        PromiseSearch(),
        TaskSearch(),
        ScheduleSearch(),
        TriggerSearch(),
        TriggerGet(id="t"),
        GroupList(),
        GroupSet(name="g", concurrency=1),
        TaskReport(id="t", version=1, promise="t", reason="no"),
    ],
    ids=lambda each: each.kind,
)
def test_searches_reports_limits_and_triggers_are_not_served(ours: Request):
    assert strict.request(ours) is None
    assert strict.NOT_SERVED.status == 501


def test_nobody_goes_without_a_preload():
    acquire = TaskAcquire(id="t", version=0, pid="w", lease_ms=5, preload=False)

    assert strict.request(acquire) == replace(acquire, preload=True)
    assert strict.request(PromiseGet(id="t")) == PromiseGet(id="t")


def test_nobody_gets_details_of_a_task():
    assert strict.request(TaskGet(id="t", details=True)) == TaskGet(id="t")


def test_answers_have_only_what_the_protocol_names():
    lost = Beaten(lost=(TaskRef(id="t", version=1),))
    promise = make_targeted("t", "acquired")
    granted = TaskGranted(
        task=rules.task_record(promise),
        promise=rules.record(promise),
        preload=(),
        preload_cut=True,
    )

    assert strict.answer(Answer(OK, lost)) == Answer(OK, Nothing())
    assert strict.answer(Answer(OK, granted)) == Answer(OK, replace(granted, preload_cut=False))
    assert strict.answer(Answer(409, "no")) == Answer(409, "no")


def test_a_schedule_has_the_fields_of_the_protocol_and_no_others():
    schedule = make_schedule(overlap="skip", missed="none", last_run_at_ms=5)
    given = Answer(OK, ScheduleData(schedule=schedule_record(schedule)))

    answer = json.loads(encode_answer("schedule.get", "c", strict.answer(given)))

    assert set(answer["data"]["schedule"]) == {
        "id", "cron", "promiseId", "promiseTimeout", "promiseParam", "promiseTags", "createdAt",
        "nextRunAt", "lastRunAt",
    }  # fmt: skip
