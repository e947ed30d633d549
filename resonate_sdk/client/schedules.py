"""Schedules: promises that a server creates at the instants of a calendar."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypedDict

from resonate_sdk.ask import refusal
from resonate_sdk.client.promises import PromiseRecord, Promises
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.errors import AlreadyExistsError
from resonate_sdk.options import Options, Seconds, seconds
from resonate_sdk.protocol import limits, tags as tag
from resonate_sdk.protocol.records import MissedPolicy, OverlapPolicy, ScheduleRecord, Value
from resonate_sdk.protocol.requests import (
    Request,
    ScheduleCreate,
    ScheduleDelete,
    ScheduleGet,
    ScheduleSearch,
)
from resonate_sdk.protocol.responses import Answer, ScheduleData, SchedulePage

PROMISE_ID = "{{.id}}.{{.timestamp}}"
PROMISE_TIMEOUT_S = 86_400.0
UTC = "UTC"


class Schedule:
    """A schedule as the server showed it.

    Attributes:
        id: its name.
        cron: minute, hour, day of the month, month, day of the week.
        timezone: the zone that `cron` is meant in; UTC if the server does not tell.
        next_run: its next instant, epoch ms.
        last_run: the last instant that had a promise, epoch ms; None before the first.
        tags: of its promises.
        description: what it is for.
    """

    def __init__(self, record: ScheduleRecord, schedules: "Schedules") -> None:
        """Wrap a record of the wire."""
        self.id = record.id
        self.cron = record.cron
        self.timezone = record.timezone or UTC
        self.next_run = record.next_run_at_ms
        self.last_run = record.last_run_at_ms
        self.tags = {k: v for k, v in record.promise_tags.items() if k != tag.DESCRIPTION}
        self.description = record.promise_tags.get(tag.DESCRIPTION, "")
        self._schedules = schedules

    def delete(self) -> None:
        """End it; what it has created stays."""
        self._schedules.delete(self.id)

    def runs(self) -> Iterator[PromiseRecord[Any]]:
        """The promises that it has created."""
        return self._schedules.runs(self.id)

    def __repr__(self) -> str:
        """Show id and calendar."""
        return f"<Schedule {self.id!r} {self.cron!r}>"


class ScheduleDefinition(TypedDict, total=False):
    """What `schedules.create` takes beside an id and a calendar."""

    promise_id: str
    promise_timeout: Seconds
    param: Any
    tags: Mapping[str, str] | None
    promise_tags: Mapping[str, str] | None
    timezone: str
    overlap: OverlapPolicy
    missed: MissedPolicy
    description: str
    replace: bool


class Schedules:
    """Schedules of a server."""

    def __init__(self, call: Callable[[Request], Answer], codec: Codec, promises: Promises) -> None:
        """Made by the client.

        Args:
            call: sends a request and waits for the answer.
            codec: encodes values.
            promises: finds what schedules have created.
        """
        self._call = call
        self._codec = codec
        self._promises = promises

    def create(
        self,
        id: str,
        cron: str,
        *,
        promise_id: str = PROMISE_ID,
        promise_timeout: Seconds = PROMISE_TIMEOUT_S,
        param: Any = None,
        tags: Mapping[str, str] | None = None,
        promise_tags: Mapping[str, str] | None = None,
        timezone: str = UTC,
        overlap: OverlapPolicy = "allow",
        missed: MissedPolicy = "all",
        description: str = "",
        replace: bool = False,
    ) -> Schedule:
        """Create a schedule; doing it again with the same definition does nothing.

        Args:
            id: its name.
            cron: minute, hour, day of the month, month, day of the week.
            promise_id: template of the ids of its promises.
            promise_timeout: from an instant to the deadline of its promise.
            param: what its promises tell about themselves.
            tags: by which `search` finds it; its promises have them, too.
            promise_tags: their other tags; with `resonate:target` each is a call.
            timezone: the zone that `cron` is meant in, by its name in the IANA database.
            overlap: what becomes of an instant while the promise of the one before is pending.
            missed: which instants are made up for that no server could see to.
            description: what it is for; its promises have it as a tag.
            replace: put it in the place of another definition.

        Raises:
            AlreadyExistsError: it exists with another definition, and is not to be replaced.
            InvalidError: the calendar or another argument is not valid.
        """
        described = {tag.DESCRIPTION: description} if description else {}
        return self.put(
            ScheduleCreate(
                id=id,
                cron=cron,
                promise_id=promise_id,
                promise_timeout_ms=round(seconds(promise_timeout) * 1000),
                promise_param=param if isinstance(param, Value) else self._codec.encode(param),
                promise_tags={**(tags or {}), **(promise_tags or {}), **described},
                timezone=timezone,
                overlap=overlap,
                missed=missed,
            ),
            replace=replace,
        )

    def put(self, request: ScheduleCreate, *, replace: bool) -> Schedule:
        """Create a schedule as a request says; errors as of `create`."""
        found = self._one(request)
        if not _is_as_wanted(found, request) and replace:
            self.delete(request.id)
            found = self._one(request)
        if not _is_as_wanted(found, request):
            raise AlreadyExistsError(
                f"schedule {request.id!r} exists with another definition: delete it, or create it "
                "with replace=True"
            )
        return Schedule(found, self)

    def get(self, id: str) -> Schedule:
        """Look at a schedule.

        Raises:
            NotFoundError: there is none.
        """
        return Schedule(self._one(ScheduleGet(id=id)), self)

    def delete(self, id: str) -> None:
        """End a schedule; what it has created stays.

        Raises:
            NotFoundError: there is none.
        """
        answer = self._call(ScheduleDelete(id=id))
        if not answer.is_ok:
            raise refusal(answer)

    def search(
        self, *, tags: Mapping[str, str] | None = None, limit: int = limits.SCHEDULE_PAGE_DEFAULT
    ) -> Iterator[Schedule]:
        """Find schedules by the tags of their promises, ascending by id.

        Args:
            tags: only those whose promises have all these tags.
            limit: how many are fetched at a time.
        """
        cursor = None
        while True:
            answer = self._call(ScheduleSearch(tags=tags or {}, limit=limit, cursor=cursor))
            if not isinstance(answer.data, SchedulePage):
                raise refusal(answer)
            for record in answer.data.schedules:
                yield Schedule(record, self)
            cursor = answer.data.cursor
            if cursor is None:
                return

    def runs(self, id: str) -> Iterator[PromiseRecord[Any]]:
        """The promises that a schedule has created."""
        return self._promises.search(tags={tag.SCHEDULE: id})

    def _one(self, request: Request) -> ScheduleRecord:
        answer = self._call(request)
        if not isinstance(answer.data, ScheduleData):
            raise refusal(answer)
        return answer.data.schedule


def scheduled_call(
    id: str, cron: str, call: Value, function: str, given: Options, default_target: str
) -> ScheduleCreate:
    """The schedule that calls a function.

    Args:
        id: of the schedule.
        cron: its calendar.
        call: what it calls, encoded.
        function: what it calls, as a tag.
        given: options of the call and of the function.
        default_target: who runs it, if the options say nothing.
    """
    timeout_s = PROMISE_TIMEOUT_S if given.timeout_s is None else given.timeout_s
    own = scheduled_tags(function, given.target or default_target)
    return ScheduleCreate(
        id=id,
        cron=cron,
        promise_id=PROMISE_ID,
        promise_timeout_ms=round(timeout_s * 1000),
        promise_param=call,
        promise_tags={**(given.tags or {}), **own},
    )


def scheduled_tags(function: str, target: str) -> dict[str, str]:
    """The tags of promises that call a function.

    Args:
        function: as a tag.
        target: who runs it.
    """
    return {tag.TARGET: target, tag.SCOPE: tag.SCOPE_GLOBAL, tag.FUNCTION: function}


def _is_as_wanted(found: ScheduleRecord, request: ScheduleCreate) -> bool:
    return (
        found.cron == request.cron
        and found.promise_id == request.promise_id
        and found.promise_timeout_ms == request.promise_timeout_ms
        and found.promise_param.data == request.promise_param.data
        and found.promise_tags == request.promise_tags
        and found.timezone in (None, request.timezone)
        and found.overlap in (None, request.overlap)
        and found.missed in (None, request.missed)
    )
