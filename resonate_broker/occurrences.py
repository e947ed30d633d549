"""The promises that a schedule creates: one for each of its instants."""

import re

from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.envelope import normalize
from resonate_sdk.protocol.records import ScheduleRecord
from resonate_sdk.protocol.requests import PromiseCreate
from resonate_store.state import Schedule

_PLACEHOLDER = re.compile(r"\{\{\.(id|timestamp)\}\}")


def occurrence(schedule: Schedule, at_ms: int) -> PromiseCreate:
    """The creation of the promise for one instant, as if it had come in like any other.

    Raises:
        ValueError: it is over a limit.
    """
    id = occurrence_id(schedule, at_ms)
    own = {
        tags.SCHEDULE: schedule.id,
        tags.ORIGIN: id,
        tags.BRANCH: id,
        tags.PARENT: id,
        tags.PREFIX: id,
    }
    create = normalize(
        PromiseCreate(
            id=id,
            timeout_at_ms=min(at_ms + schedule.promise_timeout_ms, limits.INSTANT_MS_MAX),
            param=schedule.promise_param,
            tags={**schedule.promise_tags, **own},
        )
    )
    assert isinstance(create, PromiseCreate), create
    return create


def occurrence_id(schedule: Schedule, at_ms: int) -> str:
    """The id of the promise for one instant."""
    values = {"id": schedule.id, "timestamp": str(at_ms)}
    return _PLACEHOLDER.sub(lambda match: values[match[1]], schedule.promise_id)


def schedule_record(schedule: Schedule) -> ScheduleRecord:
    """The schedule as it is shown."""
    return ScheduleRecord(
        id=schedule.id,
        cron=schedule.cron,
        promise_id=schedule.promise_id,
        promise_timeout_ms=schedule.promise_timeout_ms,
        promise_param=schedule.promise_param,
        promise_tags=schedule.promise_tags,
        created_at_ms=schedule.created_at_ms,
        next_run_at_ms=schedule.next_run_at_ms,
        last_run_at_ms=schedule.last_run_at_ms,
        timezone=schedule.timezone,
        overlap=schedule.overlap,
        missed=schedule.missed,
    )
