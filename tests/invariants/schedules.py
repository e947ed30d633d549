"""Invariants 27 to 30, 33 and 80: what schedules look like, and how they change."""

from collections.abc import Iterator

from resonate_sdk.protocol import tags
from resonate_store.state import Schedule
from tests.invariants.stored import Step
from tests.model.calendar import next_minute


def schedule_faults(schedule: Schedule) -> Iterator[str]:
    """What is wrong with a stored schedule, by the names of the specification."""
    own = schedule.promise_tags
    if own.get(tags.TIMER) == "true" and tags.TARGET in own:
        yield f"promise_tags_not_timer_targeted: {schedule}"  # 27
    if schedule.created_at_ms > schedule.next_run_at_ms:
        yield f"created_at_lte_next_run_at: {schedule}"  # 28
    last_ms = schedule.last_run_at_ms
    if last_ms is not None and schedule.created_at_ms > last_ms:
        yield f"created_at_lte_last_run_at: {schedule}"  # 29
    if last_ms is not None and last_ms >= schedule.next_run_at_ms:
        yield f"last_run_at_lt_next_run_at: {schedule}"  # 30


def schedule_step_faults(step: Step) -> Iterator[str]:
    """What is wrong with how schedules have changed."""
    for id, after in step.after.schedules.items():
        before = step.before.schedules.get(id)
        if before is None or before is after:
            continue
        if _birth(before) != _birth(after):
            yield f"schedule_birth_fields_immutable: {before} to {after}"  # 80
        if after.next_run_at_ms < before.next_run_at_ms:
            yield f"next_run_at_advances: {before} to {after}"
        if (after.last_run_at_ms or 0) < (before.last_run_at_ms or 0):
            yield f"last_run_at_advances: {before} to {after}"


def internal_schedule_faults(step: Step) -> Iterator[str]:
    """What nobody may do to schedules unasked: R7 creates and advances, and nothing else."""
    if step.before.schedules.keys() != step.after.schedules.keys():
        yield "a schedule comes or goes that nobody asked for"
        return
    fired = {id for id, each in step.after.schedules.items() if step.before.schedules[id] != each}
    for promise in step.born:
        if tags.SCHEDULE in promise.tags and promise.tags[tags.SCHEDULE] not in fired:
            yield f"{promise.id} is created without its schedule"
    for id in fired:
        before, after = step.before.schedules[id], step.after.schedules[id]
        if before.next_run_at_ms > step.now_ms:
            yield f"{id} is fired before its time"
        if (after.missed, after.overlap) == ("all", "allow"):
            yield from _left_out(before, after, step)


def _left_out(before: Schedule, after: Schedule, step: Step) -> Iterator[str]:
    """Instants that were passed over although each was to have its promise."""
    at_ms: int | None = before.next_run_at_ms
    while at_ms is not None and at_ms < after.next_run_at_ms:
        id = after.promise_id.replace("{{.id}}", after.id).replace("{{.timestamp}}", str(at_ms))
        if id not in step.after.promises:
            yield f"{after.id} has left out {at_ms}"
        at_ms = next_minute(after.cron, at_ms) if after.timezone == "UTC" else None


def _birth(schedule: Schedule) -> tuple[object, ...]:
    return (
        schedule.cron,
        schedule.timezone,
        schedule.overlap,
        schedule.missed,
        schedule.promise_id,
        schedule.promise_timeout_ms,
        schedule.promise_param,
        schedule.promise_tags,
        schedule.created_at_ms,
    )
