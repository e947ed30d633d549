"""Schedules from outside of any execution, of a server that shows only what the protocol names."""

import pytest

from resonate_sdk import AlreadyExistsError
from resonate_sdk.client.promises import Promises
from resonate_sdk.client.schedules import Schedules
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.protocol.records import EMPTY, ScheduleRecord
from resonate_sdk.protocol.requests import Request
from resonate_sdk.protocol.responses import OK, Answer, ScheduleData


def strict_server(request: Request) -> Answer:
    record = ScheduleRecord(
        id="s",
        cron="0 8 * * *",
        promise_id="{{.id}}.{{.timestamp}}",
        promise_timeout_ms=86_400_000,
        promise_param=EMPTY,
        promise_tags={},
        created_at_ms=1,
        next_run_at_ms=2,
    )
    return Answer(OK, ScheduleData(schedule=record))


@pytest.fixture
def schedules() -> Schedules:
    codec = Codec()
    promises = Promises(strict_server, codec, lambda: 1)
    return Schedules(strict_server, codec, promises)


def test_what_a_server_does_not_tell_is_no_other_definition(schedules: Schedules):
    schedule = schedules.create("s", "0 8 * * *", overlap="skip", missed="latest")

    assert (schedule.cron, schedule.timezone) == ("0 8 * * *", "UTC")


def test_what_it_tells_is_compared(schedules: Schedules):
    with pytest.raises(AlreadyExistsError):
        schedules.create("s", "0 9 * * *")
