"""R6: hints for workers. The database is the queue, the broker holds a window of hints.

A hint is sent when a task becomes pending and its group has room; else the task is queued, and
topped up, oldest first, when room appears. A hint whose task is not acquired is sent again when
there is reason to think that it was lost. Tasks of a group with limits are always queued: who tops it
up gives them their places.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from resonate_broker import places, rules
from resonate_broker.background import tally
from resonate_broker.background.groups import Limited
from resonate_broker.background.windows import Windows
from resonate_broker.kernel.submissions import Outgoing
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import addresses, limits, tags
from resonate_sdk.protocol.addresses import ExchangeAddress
from resonate_sdk.protocol.messages import Hint, HintData, Invoke, MessageHead, Resume
from resonate_sdk.protocol.records import TaskRef
from resonate_store.state import Promise, Task, holds_place

PROBE_WAIT_MS = 50  # a re-send that needs to know the queue is decided again after this
# A call that may not have been delivered is sent again after these; the last one repeats. Longer
# than the broker may take to confirm it, for who is called works on what he gets.
CALL_AGAIN_MS = (10_000, 20_000, 40_000, 60_000)
TOP_UP_GATHER_MS = 5  # acquires that make room are gathered for so long
PASSED_MS = 10_000  # a hint sent this much later was acquired: this one is not in the queue


class Dispatch:
    """Sends hints for what the batches change; the kernel calls it after each coroutine."""

    def __init__(
        self,
        windows: Windows,
        wake_top_up: Callable[[int], None],
        limited: Limited | None = None,
    ) -> None:
        """Send as the windows allow.

        Args:
            windows: what is known of the queues.
            wake_top_up: called with the instant at which the windows want to be looked at.
            limited: groups with limits; none if not given.
        """
        self.limited = limited or Limited(())
        self._windows = windows
        self._wake_top_up = wake_top_up
        # Groups of which the batch under way queues tasks, and when.
        self._queued: dict[str, int] = {}

    def decided(self, state: WorkingState) -> None:
        """Dispatch what became pending, and keep the timers of all that changed in step."""
        for id, before in state.take_changed().items():
            promise = state.promise(id)
            assert promise is not None, f"{id!r} changed and vanished"
            tally.count(state, before, promise)
            self._note_acquisition(before, promise, state.now_ms)
            self._note_place(before, promise, state.now_ms)
            promise = self.dispatch(state, promise)
            rules.set_timer(state, promise)
        state.take_changed()

    def committed(self, outgoing: Sequence[Outgoing]) -> None:
        """Count the hints that go out, and see to the tasks that are queued: now they are stored."""
        for message in outgoing:
            if message.listener is None and not message.is_exclusive:
                self._windows.of(message.group).hand_over()
        for group, now_ms in self._queued.items():
            window = self._windows.of(group)
            window.queued_count += 1
            window.has_queued = True
            self._windows.want(group)
            self._wake_top_up(now_ms + TOP_UP_GATHER_MS)
        self._queued.clear()

    def _note_acquisition(self, before: Promise | None, after: Promise, now_ms: int) -> None:
        if before is None or before.task is None or after.task is None:
            return
        if before.task.state == "pending" and after.task.state == "acquired":
            window = self._windows.of(after.task.group)
            if not before.task.is_hint_sticky and not _is_sent_always(_target(before)):
                window.passed_at_ms = max(window.passed_at_ms, before.task.hint_at_ms or 0)
            if window.has_queued:
                self._windows.want(after.task.group)
                self._wake_top_up(now_ms + TOP_UP_GATHER_MS)

    def _note_place(self, before: Promise | None, after: Promise, now_ms: int) -> None:
        """Fill a place that has become free in a group with limits."""
        if before is None or after.task is None or not self.limited.has(after.task.group):
            return
        if holds_place(before) and not holds_place(after):
            self._windows.of(after.task.group).has_queued = True
            self._windows.want(after.task.group)
            self._wake_top_up(now_ms + TOP_UP_GATHER_MS)

    def dispatch(self, state: WorkingState, promise: Promise) -> Promise:
        """Send the first hint of a wait if it is time and there is room, else queue the task."""
        task = promise.task
        if task is None or not _is_unsent(task) or _retry_at_ms(task) > state.now_ms:
            return promise
        if task.queued_at_ms is None and self._may_send(state, promise):
            return _send(state, promise)
        if task.queued_at_ms is not None:
            return promise
        self._queue(task.group, state.now_ms)
        return _put_task(state, promise, replace(task, queued_at_ms=state.now_ms))

    def top_up(self, state: WorkingState, promise: Promise) -> Promise:
        """Send the hint of a queued task whose turn has come."""
        task = promise.task
        if task is None or task.state != "pending" or task.queued_at_ms is None:
            return promise
        window = self._windows.of(task.group)
        has_room = state.hints[task.group] < window.room(self._windows.size)
        if not has_room or not self._has_place(state, promise, task):
            window.has_queued = True
            return promise
        return _send(state, promise)

    def _has_place(self, state: WorkingState, promise: Promise, task: Task) -> bool:
        if not self.limited.has(task.group):
            return True
        # A group whose limits have just become known is looked at another time.
        return state.has_group(task.group) and places.try_take(state, promise)

    def retry(self, state: WorkingState, promise: Promise) -> Promise:
        """Send a hint again if it seems lost; queue the task if nobody is there to take it."""
        task = promise.task
        if task is None or task.state != "pending" or _retry_at_ms(task) > state.now_ms:
            return promise
        if task.hint_at_ms is None:
            return self.dispatch(state, promise)
        if _is_sent_always(_target(promise)):
            return _send(state, promise)
        window = self._windows.of(task.group)
        if not window.is_fresh(state.now_ms):
            self._windows.want(task.group)
            self._wake_top_up(state.now_ms)
            state.hold(promise.id, state.now_ms + PROBE_WAIT_MS)
            return promise
        if not window.has_consumer(state.now_ms):
            self._queue(task.group, state.now_ms)
            queued = replace(task, queued_at_ms=state.now_ms, hint_at_ms=None)
            return _put_task(state, promise, queued)
        is_lost = window.ready == 0 or window.passed_at_ms >= task.hint_at_ms + PASSED_MS
        if task.is_hint_sticky or is_lost:
            return _send(state, promise)
        again_at_ms = state.now_ms + _ask_again_ms(state.now_ms - task.hint_at_ms)
        return _put_task(state, promise, replace(task, retry_at_ms=again_at_ms))

    def _queue(self, group: str, now_ms: int) -> None:
        self._windows.of(group).has_queued = True  # nobody overtakes it
        self._queued[group] = now_ms

    def _may_send(self, state: WorkingState, promise: Promise) -> bool:
        if _is_sent_always(_target(promise)):
            return True
        task = promise.task
        assert task is not None, promise.id
        if self.limited.has(task.group):
            return False  # places are given under the lock of the group
        window = self._windows.of(task.group)
        return not window.has_queued and state.hints[task.group] < window.room(self._windows.size)


def _send(state: WorkingState, promise: Promise) -> Promise:
    task = promise.task
    assert task is not None, promise.id
    target = _target(promise)
    if isinstance(target, ExchangeAddress):
        return _call(state, promise, task)
    preferred = target.pid
    if task.attempts > 0 and target.cast == "any":
        preferred = None  # only the first hint of a wait is sticky
    elif task.is_resumed and target.cast == "any":
        preferred = task.last_pid or preferred
    state.send(
        Outgoing(target.group, preferred, target.cast == "uni", _hint(promise, task, state.now_ms))
    )
    sent = replace(
        task,
        hint_at_ms=state.now_ms,
        is_hint_sticky=preferred is not None,
        attempts=task.attempts + 1,
        retry_at_ms=state.now_ms + _resend_ms(task.attempts),
        queued_at_ms=None,
    )
    return _put_task(state, promise, sent)


def _call(state: WorkingState, promise: Promise, task: Task) -> Promise:
    """Ask somebody who knows no protocol; the promise goes along, however large it is."""
    head = MessageHead(version=limits.VERSION, sent_at_ms=state.now_ms, attempt=task.attempts)
    reference = TaskRef(id=promise.id, version=task.version)
    message = Invoke(head=head, data=HintData(task=reference, promise=rules.record(promise)))
    state.send(Outgoing("", None, True, message))
    again_ms = CALL_AGAIN_MS[min(task.attempts, len(CALL_AGAIN_MS) - 1)]
    sent = replace(
        task,
        hint_at_ms=state.now_ms,
        attempts=task.attempts + 1,
        retry_at_ms=state.now_ms + again_ms,
    )
    return _put_task(state, promise, sent)


def _hint(promise: Promise, task: Task, now_ms: int) -> Hint:
    head = MessageHead(version=limits.VERSION, sent_at_ms=now_ms, attempt=task.attempts)
    is_large = promise.param.size_bytes() > limits.VALUE_BYTES_IN_HINT_MAX
    data = HintData(
        task=TaskRef(id=promise.id, version=task.version),
        promise=None if is_large else rules.record(promise),
    )
    return Resume(head=head, data=data) if task.is_resumed else Invoke(head=head, data=data)


def _put_task(state: WorkingState, promise: Promise, task: Task) -> Promise:
    promise = replace(promise, task=task)
    state.put(promise)
    return promise


def _target(promise: Promise) -> addresses.Address | ExchangeAddress:
    return addresses.parse_target(promise.tags[tags.TARGET])


def _is_sent_always(target: addresses.Address | ExchangeAddress) -> bool:
    """Whether its messages need no room in the window of a group."""
    return isinstance(target, ExchangeAddress) or target.cast == "uni"


def _is_unsent(task: Task) -> bool:
    return task.state == "pending" and task.hint_at_ms is None


def _retry_at_ms(task: Task) -> int:
    assert task.retry_at_ms is not None, "a pending task has an instant of retry"
    return task.retry_at_ms


def _resend_ms(attempts: int) -> int:
    return limits.RESEND_MS[min(attempts, len(limits.RESEND_MS) - 1)]


def _ask_again_ms(waited_ms: int) -> int:
    """How long to leave a hint alone that may still wait in the queue after so long."""
    return next((step for step in limits.RESEND_MS if step > waited_ms), limits.RESEND_MS[-1])
