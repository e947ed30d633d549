"""`debug.snap`: show everything that is stored."""

from collections.abc import Iterator

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Failed, Load, ReadSnapshot
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import limits, responses, tags
from resonate_sdk.protocol.messages import (
    HintData,
    Invoke,
    MessageHead,
    Notify,
    NotifyData,
    Resume,
)
from resonate_sdk.protocol.records import TaskRef
from resonate_sdk.protocol.requests import DebugSnap
from resonate_sdk.protocol.responses import (
    Answer,
    SnapCallback,
    SnapData,
    SnapListener,
    SnapMessage,
    SnapTaskTimeout,
    SnapTimeout,
)
from resonate_store.state import Promise, Snapshot

RETRY, LEASE = 0, 1
HEAD = MessageHead(version=limits.VERSION)


def debug_snap(request: DebugSnap) -> Operation:
    """Promises and tasks as they are seen at the instant of the request, the rest as it is stored.

    A deadline that has passed but is not stored yet shows in the timeouts that are left.
    """
    state: WorkingState = yield Load()
    yield Commit()
    snapshot: Snapshot | Failed = yield ReadSnapshot()
    if isinstance(snapshot, Failed):
        return rules.refused(responses.UNAVAILABLE, f"cannot look now: {snapshot.reason}")
    return Answer(responses.OK, _shown(snapshot, state.now_ms))


def _shown(snapshot: Snapshot, now_ms: int) -> SnapData:
    seen = [rules.project(promise, now_ms) for promise in snapshot.promises]
    return SnapData(
        promises=tuple(rules.record(promise) for promise in seen),
        promise_timeouts=tuple(
            SnapTimeout(id=promise.id, timeout=promise.timeout_at_ms)
            for promise in snapshot.promises
            if promise.state == "pending" and rules.is_external(promise)
        ),
        callbacks=tuple(
            SnapCallback(awaiter=callback.awaiter, awaited=callback.awaited)
            for callback in snapshot.callbacks
        ),
        listeners=tuple(
            SnapListener(id=listener.awaited, address=listener.address)
            for listener in snapshot.listeners
        ),
        tasks=tuple(rules.task_record(promise) for promise in seen if promise.task is not None),
        task_timeouts=tuple(_task_timeouts(snapshot)),
        messages=tuple(_messages(snapshot)),
    )


def _task_timeouts(snapshot: Snapshot) -> Iterator[SnapTaskTimeout]:
    for promise in snapshot.promises:
        task = promise.task
        if task is None:
            continue
        if task.retry_at_ms is not None:
            yield SnapTaskTimeout(id=promise.id, type=RETRY, timeout=task.retry_at_ms)
        if task.expires_at_ms is not None:
            yield SnapTaskTimeout(id=promise.id, type=LEASE, timeout=task.expires_at_ms)


def _messages(snapshot: Snapshot) -> Iterator[SnapMessage]:
    """What has been sent or waits to be: hints of tasks nobody took, news nobody confirmed."""
    promises = {promise.id: promise for promise in snapshot.promises}
    for promise in snapshot.promises:
        task = promise.task
        if task is not None and (task.hint_at_ms is not None or task.queued_at_ms is not None):
            yield SnapMessage(address=promise.tags[tags.TARGET], message=_hint(promise))
    for listener in snapshot.listeners:
        promise = promises[listener.awaited]
        if promise.state != "pending":
            message = Notify(head=HEAD, data=NotifyData(promise=rules.record(promise)))
            yield SnapMessage(address=listener.address, message=message)


def _hint(promise: Promise) -> Invoke | Resume:
    assert promise.task is not None, promise.id
    data = HintData(task=TaskRef(id=promise.id, version=promise.task.version))
    if promise.task.is_resumed:
        return Resume(head=HEAD, data=data)
    return Invoke(head=HEAD, data=data)
