"""Looks at every promise whose timer is due, and takes the internal steps that apply.

The candidates are read without locks and then named by ordinary batches. Each step checks its own
guard: a look that comes early, late or twice does no harm.
"""

from functools import partial

from resonate_broker import rules
from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.lease_expiry import LeaseGuard, expire_lease
from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Commit, Failed, Load, ReadDue, Spawn
from resonate_broker.kernel.working_state import WorkingState
from resonate_store.state import Due, Timer

LOOKS_PER_RUN = 200


def sweep(dispatch: Dispatch, guard: LeaseGuard) -> Body:
    """Look at what is due; return the instant at which something will be."""
    due: Due | Failed = yield ReadDue(LOOKS_PER_RUN)
    if isinstance(due, Failed):
        return None
    yield Spawn(tuple(partial(look, timer, dispatch, guard) for timer in due.timers))
    return due.now_ms if len(due.timers) == LOOKS_PER_RUN else due.next_at_ms


def look(timer: Timer, dispatch: Dispatch, guard: LeaseGuard) -> Body:
    """Take the steps that are due for one promise, and set its timer anew."""
    state: WorkingState = yield Load(ids=(timer.id,), settling=(timer.id,))
    promise = state.promise(timer.id)
    if promise is None or promise.timer_at_ms != timer.due_at_ms:
        state.disarm(timer)  # left behind: the row has another timer, or none
        return (yield Commit())
    if promise.state != "pending":
        rules.discharge(state, promise)  # R3 and R4, for what could not be done at once
    elif rules.is_due(promise, state.now_ms):
        promise = rules.expire(state, promise)  # R1, and with it R3 and R4
    else:
        promise = expire_lease(state, promise, guard)  # R5
        promise = dispatch.retry(state, promise)  # R6
    rules.set_timer(state, promise)
    return (yield Commit())
