"""Tasks as documents for programs and as lines for people, together with what is to be run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from rich.text import Text

from resonate_broker.cli.durations import format_duration
from resonate_broker.cli.output import plain
from resonate_broker.cli.promise_view import (
    call_of,
    call_text,
    end_of_page,
    field,
    instant_text,
    target_text,
)
from resonate_broker.cli.tables import table_lines
from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import (
    PromiseRecord,
    TaskDetails,
    TaskRecord,
    TaskState,
    Trouble,
)

COLOURS: Mapping[TaskState, str] = {
    "pending": "yellow",
    "acquired": "cyan",
    "suspended": "yellow",
    "halted": "red",
    "fulfilled": "green",
}
HEADS = ("ID", "STATE", "VERSION", "TARGET", "FUNCTION", "AGE", "HELD BY")


class Work(Struct, frozen=True):
    """A task and its promise; the promise is missing if it went away meanwhile."""

    task: TaskRecord
    promise: PromiseRecord | None

    @property
    def target(self) -> str | None:
        """The address of who runs it."""
        return None if self.promise is None else self.promise.tags.get(tag.TARGET)

    @property
    def function(self) -> str | None:
        """What is run, if that can be read."""
        call = None if self.promise is None else call_of(self.promise)
        return None if call is None else call.func


def state_of(state: TaskState) -> Text:
    """A state with its colour."""
    return Text(state, style=COLOURS[state])


def task_document(work: Work) -> dict[str, Any]:
    """A task for programs."""
    task, promise = work.task, work.promise
    return {
        "id": task.id,
        "state": task.state,
        "version": task.version,
        "resumes": task.resumes,
        "lease_ms": task.lease_ms,
        "pid": task.pid,
        "details": None if task.details is None else _details_document(task.details),
        "target": work.target,
        "function": work.function,
        "created_at_ms": None if promise is None else promise.created_at_ms,
        "timeout_at_ms": None if promise is None else promise.timeout_at_ms,
    }


def _details_document(details: TaskDetails) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(details),
        "trouble": trouble_document(details.trouble),
    }


def task_lines(work: Work, now_ms: int, remark: str = "") -> Iterator[Text]:
    """A task for people.

    Args:
        work: the task.
        now_ms: by the clock of this machine.
        remark: what the command has to say about it.
    """
    task, promise = work.task, work.promise
    head = Text.assemble((plain(task.id), "bold"), "  task ", state_of(task.state))
    yield head.append(f" ({remark})" if remark else "")
    call = None if promise is None else call_of(promise)
    if call is not None:
        yield field("call", call_text(call))
    if work.target is not None:
        yield field("target", target_text(work.target))
    if task.pid is not None:
        yield field("held by", task.pid)
    yield field("version", f"{task.version}  (acquired {times(task.version)})")
    if task.details is not None:
        yield from _detail_lines(task.details, now_ms)
    if promise is not None:
        yield field("created", instant_text(promise.created_at_ms, now_ms))
        if promise.state == "pending":
            yield field("deadline", instant_text(promise.timeout_at_ms, now_ms))


def page_lines(page: Sequence[Work], cursor: str | None, now_ms: int) -> Iterator[Text]:
    """Tasks, a line for each, and how to go on."""
    yield from table_lines(HEADS, [_row(work, now_ms) for work in page])
    yield from end_of_page(len(page), cursor)


def _row(work: Work, now_ms: int) -> tuple[Text | str, ...]:
    task, promise = work.task, work.promise
    return (
        task.id,
        state_of(task.state),
        str(task.version),
        "" if work.target is None else target_text(work.target).removeprefix("group "),
        work.function or "",
        "" if promise is None else format_duration(now_ms - promise.created_at_ms),
        task.pid or "",
    )


def _detail_lines(details: TaskDetails, now_ms: int) -> Iterator[Text]:
    if details.expires_at_ms is not None:
        yield field("lease", f"until {instant_text(details.expires_at_ms, now_ms)}")
    if details.queued_at_ms is not None:
        yield field("queued", instant_text(details.queued_at_ms, now_ms))
    if details.hint_at_ms is not None:
        sent = instant_text(details.hint_at_ms, now_ms)
        yield field("sent", f"{times(details.hints)}, last {sent}")
    if details.retry_at_ms is not None and details.retry_at_ms > now_ms:
        again = "again " if details.hint_at_ms is not None else ""
        yield field("to send", again + instant_text(details.retry_at_ms, now_ms))
    if details.lease_losses:
        yield field("lost", f"by its holders {times(details.lease_losses)} in a row")
    if details.trouble is not None:
        yield field("trouble", plain(trouble_text(details.trouble, now_ms)))


def trouble_text(trouble: Trouble, now_ms: int) -> str:
    """What has failed, how often, and why."""
    again_ms = trouble.again_at_ms
    again = ""
    if again_ms is not None and again_ms > now_ms:
        again = f" (again in {format_duration(again_ms - now_ms)})"
    return (
        f"{trouble.id} has failed {times(trouble.attempts)} in {trouble.pid}, last "
        f"{format_duration(now_ms - trouble.at_ms)} ago{again}: {trouble.reason}"
    )


def trouble_document(trouble: Trouble | None) -> dict[str, Any] | None:
    """The same for programs."""
    return None if trouble is None else msgspec.structs.asdict(trouble)


def times(count: int) -> str:
    """How often, in words."""
    match count:
        case 0:
            return "never"
        case 1:
            return "once"
        case _:
            return f"{count} times"
