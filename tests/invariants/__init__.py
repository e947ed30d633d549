"""The invariants of the protocol, with the names and numbers that its specification gives them.

State invariants hold for everything that is ever stored, transition invariants for the states
before and after one step: one request, or one internal step. Those of responses are kept by
`responses.Seen`, those of liveness by `liveness`.
"""

from collections.abc import Collection, Iterator, Sequence

from resonate_broker.kernel.submissions import Outgoing
from resonate_store.state import Snapshot
from tests.invariants.across import ACROSS, UNIQUE, named_timers
from tests.invariants.groups import place_faults
from tests.invariants.internal_steps import internal_faults
from tests.invariants.message_steps import message_faults
from tests.invariants.obligation_steps import OBLIGATION_STEPS, WAKE_STEPS
from tests.invariants.promise_steps import (
    PROMISE_STEPS,
    new_promise_born_clean,
    promise_set_only_grows,
)
from tests.invariants.promises import PROMISE
from tests.invariants.schedules import (
    internal_schedule_faults,
    schedule_faults,
    schedule_step_faults,
)
from tests.invariants.stored import Step, Stored
from tests.invariants.task_steps import TASK_BIRTH, TASK_STEPS
from tests.invariants.tasks import TASK

__all__ = ["Step", "Stored", "check_snapshot", "check_state", "check_step", "check_transition"]

STATE = (*PROMISE, *ACROSS)
CHANGE = (*PROMISE_STEPS, *OBLIGATION_STEPS)
TASK_CHANGE = (*TASK_STEPS, *WAKE_STEPS)


def check_state(stored: Stored, now_ms: int) -> None:
    """Raise if anything in focus breaks an invariant."""
    broken = list(_state_faults(stored, now_ms))
    assert not broken, "\n".join(broken)


def check_snapshot(snapshot: Snapshot, now_ms: int, *, is_lonely: bool = False) -> Stored:
    """Raise if anything that is stored breaks an invariant; return it in the quick form.

    Args:
        snapshot: what is stored.
        now_ms: the instant.
        is_lonely: whether there is only one server.
    """
    for is_unique in UNIQUE:
        assert is_unique(snapshot), f"{is_unique.__name__}: {snapshot}"
    stored = Stored.of(snapshot)
    check_state(stored, now_ms)
    if is_lonely:
        left = named_timers(stored)
        assert not left, f"named_timers: {left}"
    return stored


def check_transition(
    before: Stored,
    after: Stored,
    now_ms: int,
    sent: Sequence[Outgoing] = (),
    *,
    is_internal: bool = False,
) -> None:
    """Raise if one step, from the first to the second state, breaks an invariant."""
    check_step(Step(before, after, now_ms, sent), is_internal=is_internal)


def check_step(step: Step, *, is_internal: bool, created: Collection[str] = ()) -> None:
    """Raise if a step breaks an invariant.

    Args:
        step: what was stored before it and after.
        is_internal: whether nobody asked for it.
        created: ids that it may create all the same.
    """
    broken = list(_step_faults(step))
    if is_internal:
        faults = (*internal_faults(step, created), *internal_schedule_faults(step))
        broken += [f"internal step: {fault}" for fault in faults]
    assert not broken, "\n".join(broken)


def _state_faults(stored: Stored, now_ms: int) -> Iterator[str]:
    for schedule in stored.schedules.values():
        yield from schedule_faults(schedule)
    for promise in stored.focus:
        for holds in STATE:
            if not holds(promise, stored, now_ms):
                yield f"{holds.__name__} at {now_ms}: {promise}"
        if promise.task is not None:
            for task_holds in TASK:
                if not task_holds(promise.task):
                    yield f"{task_holds.__name__} at {now_ms}: {promise}"


def _step_faults(step: Step) -> Iterator[str]:
    if not promise_set_only_grows(step):
        yield "promise_set_only_grows"
    for before, after in step.changed:
        for holds in CHANGE:
            if not holds(before, after, step):
                yield f"{holds.__name__} at {step.now_ms}: {before} to {after}"
        if before.task is not None and after.task is not None:
            for task_holds in TASK_CHANGE:
                if not task_holds(after, before.task, after.task, step):
                    yield f"{task_holds.__name__} at {step.now_ms}: {before} to {after}"
    for promise in step.born:
        for is_born_well in (new_promise_born_clean, *TASK_BIRTH):
            if not is_born_well(promise, step):
                yield f"{is_born_well.__name__} at {step.now_ms}: {promise}"
    if step.before.schedules is not step.after.schedules:
        yield from schedule_step_faults(step)
    yield from place_faults(step)
    yield from message_faults(step)
