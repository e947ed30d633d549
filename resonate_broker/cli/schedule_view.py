"""Schedules as documents for programs and as lines for people."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from rich.text import Text

from resonate_broker.cli.durations import format_duration
from resonate_broker.cli.output import plain
from resonate_broker.cli.promise_view import decoded, end_of_page, field, instant_text
from resonate_broker.cli.tables import table_lines
from resonate_sdk.protocol.records import ScheduleRecord
from resonate_sdk.protocol.requests import ScheduleCreate
from resonate_sdk.protocol.responses import SchedulePage


def schedule_document(record: ScheduleRecord) -> Mapping[str, Any]:
    """The schedule as it is stored, its parameter decoded."""
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return {**fields, "promise_param": decoded(record.promise_param)}


def schedule_lines(record: ScheduleRecord, now_ms: int, remark: str = "") -> Iterator[Text]:
    """The schedule in a few lines."""
    yield Text(plain(record.id) + (f"  ({remark})" if remark else ""))
    yield field("cron", "  ".join(filter(None, (record.cron, record.timezone))))
    yield field("next", instant_text(record.next_run_at_ms, now_ms))
    if record.last_run_at_ms is not None:
        yield field("last", instant_text(record.last_run_at_ms, now_ms))
    deadline = format_duration(record.promise_timeout_ms)
    yield field("promises", f"{record.promise_id}  deadline after {deadline}")
    if record.promise_param.data is not None:
        yield field("param", msgspec.json.encode(decoded(record.promise_param)).decode())
    if record.promise_tags:
        pairs = sorted(record.promise_tags.items())
        yield field("tags", "  ".join(f"{key}={text}" for key, text in pairs))
    if record.overlap is not None:
        yield field("overlap", record.overlap)
    if record.missed is not None:
        yield field("missed", record.missed)


def page_lines(page: SchedulePage, now_ms: int) -> Iterator[Text]:
    """Schedules, a line for each, and how to go on."""
    rows = [
        (r.id, r.cron, r.timezone or "", instant_text(r.next_run_at_ms, now_ms))
        for r in page.schedules
    ]
    yield from table_lines(("ID", "CRON", "ZONE", "NEXT"), rows)
    yield from end_of_page(len(page.schedules), page.cursor)


def is_same(request: ScheduleCreate, record: ScheduleRecord) -> bool:
    """Whether a schedule is defined as it was asked for, as far as the server tells."""
    return all(
        getattr(record, name) in (None, getattr(request, name))
        for name in ScheduleCreate.__struct_fields__
    )
