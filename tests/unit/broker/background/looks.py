"""One look of the sweep at one promise, as a batch of its own would run it."""

from collections.abc import Iterable

import pytest

from resonate_broker.background.dispatch import Dispatch
from resonate_broker.background.lease_expiry import LeaseGuard
from resonate_broker.background.sweep import look
from resonate_broker.background.windows import Windows
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import limits
from resonate_store.state import Callback, Listener, Promise, Task, Timer
from tests.unit.broker.builders import NOW, make_state

HEARD_ALL = LeaseGuard(0)


class Dispatching:
    """A dispatch, its windows, and when it asked for a top-up."""

    def __init__(self, size: int = limits.DISPATCH_WINDOW) -> None:
        self.windows = Windows(size)
        self.wakes: list[int] = []
        self.dispatch = Dispatch(self.windows, self.wakes.append)


def look_at(
    promise: Promise,
    *others: Promise,
    timer_at_ms: int = NOW,
    dispatching: Dispatching | None = None,
    guard: LeaseGuard = HEARD_ALL,
    callbacks: Iterable[Callback] = (),
    listeners: Iterable[Listener] = (),
    now_ms: int = NOW,
) -> WorkingState:
    """Look at a promise whose timer is due, and dispatch what follows.

    Args:
        promise: what is looked at.
        others: rows that are locked with it.
        timer_at_ms: the timer that brought the sweep here.
        dispatching: sends the hints.
        guard: says which leases may expire.
        callbacks: of the promise.
        listeners: of the promise.
        now_ms: the instant of the batch.
    """
    dispatching = dispatching or Dispatching()
    body = look(Timer(timer_at_ms, promise.id), dispatching.dispatch, guard)
    assert body.send(None) == Load(ids=(promise.id,), settling=(promise.id,))
    state = make_state(
        promise,
        *others,
        settling=[promise.id],
        callbacks=callbacks,
        listeners=listeners,
        now_ms=now_ms,
    )
    assert isinstance(body.send(state), Commit)
    with pytest.raises(StopIteration):
        body.send(None)
    dispatching.dispatch.decided(state)
    return state


def promise_of(state: WorkingState, id: str) -> Promise:
    promise = state.promise(id)
    assert promise is not None, id
    return promise


def task_of(state: WorkingState, id: str = "t") -> Task:
    task = promise_of(state, id).task
    assert task is not None, id
    return task
