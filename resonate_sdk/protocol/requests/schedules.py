"""Requests about schedules."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta, field

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import EMPTY, MissedPolicy, OverlapPolicy, Value
from resonate_sdk.protocol.requests.base import Id, Instant, PageSize, Request
from resonate_sdk.protocol.requests.checks import check_id, check_tags, check_text, check_value


class ScheduleGet(Request, frozen=True, kw_only=True):
    """Read one schedule."""

    kind: ClassVar[str] = "schedule.get"
    id: Id

    def __post_init__(self) -> None:
        check_id("id", self.id)


class ScheduleCreate(Request, frozen=True, kw_only=True):
    """Create promises at the instants of a calendar; an existing id is left as it is.

    Attributes:
        cron: five fields: minute, hour, day of the month, month, day of the week.
        promise_id: template of the ids: `{{.id}}` is the schedule's, `{{.timestamp}}` the instant.
        promise_timeout_ms: from the instant of an occurrence to the deadline of its promise.
        timezone: the zone that `cron` is meant in, by its name in the IANA database.
        overlap: what becomes of an occurrence while the promise of the one before is pending.
        missed: which of the occurrences that no server could see to are made up for.
    """

    kind: ClassVar[str] = "schedule.create"
    id: Id
    cron: Annotated[str, Meta(min_length=1, max_length=limits.CRON_CHARS_MAX)]
    promise_id: Id = field(name="promiseId")
    promise_timeout_ms: Instant = field(name="promiseTimeout")
    promise_param: Value = field(name="promiseParam", default=EMPTY)
    promise_tags: Mapping[str, str] = field(name="promiseTags", default_factory=dict[str, str])
    timezone: Annotated[str, Meta(min_length=1, max_length=limits.TIMEZONE_CHARS_MAX)] = "UTC"
    overlap: OverlapPolicy = "allow"
    missed: MissedPolicy = "all"

    def __post_init__(self) -> None:
        check_id("id", self.id)
        check_text("cron", self.cron)
        check_id("promiseId", self.promise_id)
        check_value("promiseParam", self.promise_param)
        check_tags(self.promise_tags)
        check_text("timezone", self.timezone)


class ScheduleDelete(Request, frozen=True, kw_only=True):
    """End a schedule; what it has created stays."""

    kind: ClassVar[str] = "schedule.delete"
    id: Id

    def __post_init__(self) -> None:
        check_id("id", self.id)


class ScheduleSearch(Request, frozen=True, kw_only=True):
    """List schedules whose `promiseTags` contain the given pairs, by ascending id."""

    kind: ClassVar[str] = "schedule.search"
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    limit: PageSize = limits.SCHEDULE_PAGE_DEFAULT
    cursor: str | None = None

    def __post_init__(self) -> None:
        check_tags(self.tags)
        if self.cursor is not None:
            check_id("cursor", self.cursor)
