"""All internal steps that are due at a chosen instant, for `debug.tick`."""

from collections.abc import Generator
from functools import partial
from typing import Any

from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_broker.background.schedules import fire_schedules
from resonate_broker.background.sweep import LOOKS_PER_RUN, look
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Failed, ReadDue, Spawn
from resonate_store.state import Due, Timer

ROUNDS_MAX = 10_000
ALL_HEARD = LeaseGuard(0)  # while time stands still, nobody's heartbeats get lost


def tick(dispatch: Dispatch, at_ms: int) -> Body:
    """Do what is due; return why it could not be done, or None."""
    failed = yield from _look_at_all(dispatch, at_ms)
    for _ in range(ROUNDS_MAX):
        next_at_ms: int | None = yield from fire_schedules(at_ms)
        if next_at_ms is None or next_at_ms > at_ms:
            break
    return failed or (yield from _look_at_all(dispatch, at_ms))


def _look_at_all(dispatch: Dispatch, at_ms: int) -> Generator[Any, Any, Failed | None]:
    """Look at what is due until nothing is: a look may leave another one to come, at once."""
    before: tuple[Timer, ...] = ()
    for _ in range(ROUNDS_MAX):
        due: Due | Failed = yield ReadDue(LOOKS_PER_RUN, at_ms)
        if isinstance(due, Failed):
            return due
        if not due.timers or due.timers == before:
            break
        before = due.timers
        yield Spawn(tuple(partial(look, timer, dispatch, ALL_HEARD) for timer in due.timers))
    return None
