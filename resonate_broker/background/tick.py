"""All internal steps that are due at a chosen instant, for `debug.tick`."""

from functools import partial

from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_broker.background.schedules import fire_schedules
from resonate_broker.background.sweep import LOOKS_PER_RUN, look
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Failed, ReadDue, Spawn
from resonate_store.state import Due

ROUNDS_MAX = 10_000
ALL_HEARD = LeaseGuard(0)  # while time stands still, nobody's heartbeats get lost


def tick(dispatch: Dispatch, at_ms: int) -> Body:
    """Do what is due; return why it could not be done, or None."""
    for _ in range(ROUNDS_MAX):
        due: Due | Failed = yield ReadDue(LOOKS_PER_RUN, at_ms)
        if isinstance(due, Failed):
            return due
        yield Spawn(tuple(partial(look, timer, dispatch, ALL_HEARD) for timer in due.timers))
        if len(due.timers) < LOOKS_PER_RUN:
            break
    for _ in range(ROUNDS_MAX):
        next_at_ms: int | None = yield from fire_schedules(at_ms)
        if next_at_ms is None or next_at_ms > at_ms:
            break
    return None
