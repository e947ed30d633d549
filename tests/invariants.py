"""The invariants of protocol.md §6 for the kinds that are served, as predicates over what is stored.

Each has the name that the specification gives it, and yields what breaks it; its number stands
before it. State invariants hold for everything that is ever stored, transition invariants for the
states before and after one step: one request, or one internal step. The outbox of the
specification are the messages that a step sends.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from msgspec.structs import astuple

from resonate_broker import rules
from resonate_broker.kernel.submissions import Outgoing
from resonate_sdk.protocol import addresses, tags
from resonate_sdk.protocol.messages import Invoke, Notify, Resume
from resonate_store.state import Callback, Changes, Listener, Promise, Snapshot, Task, Timer

HELD_MS_MAX = 50  # a look that has to wait for a count of the queue is put off for so long


class Stored:
    """A snapshot, by id."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.promises = {promise.id: promise for promise in snapshot.promises}
        self.callbacks: dict[str, set[str]] = {}
        self.listeners: dict[str, set[str]] = {}
        for callback in snapshot.callbacks:
            self.callbacks.setdefault(callback.awaited, set()).add(callback.awaiter)
        for listener in snapshot.listeners:
            self.listeners.setdefault(listener.awaited, set()).add(listener.address)
        self.timers = frozenset(snapshot.timers)
        self._tasks = [(promise, promise.task) for promise in snapshot.promises if promise.task]

    def tasks(self) -> Sequence[tuple[Promise, Task]]:
        """Promises that have a task, with it."""
        return self._tasks

    def task(self, id: str) -> Task | None:
        """The task of a promise."""
        promise = self.promises.get(id)
        return None if promise is None else promise.task

    def awaiters(self, id: str) -> set[str]:
        """Who is woken when a promise settles."""
        return self.callbacks.get(id, set())

    def addresses(self, id: str) -> set[str]:
        """Who is told when a promise settles."""
        return self.listeners.get(id, set())


class Step:
    """What was stored before one step and after it.

    Attributes:
        now_ms: the instant of the step.
        sent: messages that the step sends.
    """

    def __init__(
        self, before: Stored, after: Stored, now_ms: int, sent: Sequence[Outgoing]
    ) -> None:
        self.before = before
        self.after = after
        self.now_ms = now_ms
        self.sent = sent
        self._promises = [
            (promise, after.promises[id])
            for id, promise in before.promises.items()
            if id in after.promises
        ]
        self._tasks = [
            (now, was.task, now.task) for was, now in self._promises if was.task and now.task
        ]

    def promises(self) -> Sequence[tuple[Promise, Promise]]:
        """Promises that were there before, before and after."""
        return self._promises

    def born(self) -> Iterator[Promise]:
        """Promises that were not there before."""
        for id, promise in self.after.promises.items():
            if id not in self.before.promises:
                yield promise

    def tasks(self) -> Sequence[tuple[Promise, Task, Task]]:
        """Tasks that were there before: the promise after, the task before and after."""
        return self._tasks

    def is_live(self, promise: Promise) -> bool:
        """Whether the promise is pending at the instant of the step."""
        return promise.state == "pending" and promise.timeout_at_ms > self.now_ms


Row = TypeVar("Row", Callback, Listener, Timer)
StateInvariant = Callable[[Stored, int], Iterator[str]]
TransitionInvariant = Callable[[Step], Iterator[str]]


def _has_value(promise: Promise) -> bool:
    return promise.value.data is not None or bool(promise.value.headers)


# 1
def created_at_lte_timeout_at(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if promise.created_at_ms > promise.timeout_at_ms:
            yield promise.id


# 2
def pending_created_before_deadline(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if promise.state == "pending" and promise.created_at_ms >= promise.timeout_at_ms:
            yield promise.id


# 3
def settled_at_lte_timeout_at(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if promise.settled_at_ms is not None and promise.settled_at_ms > promise.timeout_at_ms:
            yield promise.id


# 4
def created_at_lte_settled_at(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if promise.settled_at_ms is not None and promise.created_at_ms > promise.settled_at_ms:
            yield promise.id


# 5
def settled_at_iff_not_pending(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if (promise.settled_at_ms is not None) != (promise.state != "pending"):
            yield promise.id


# 6
def pending_has_no_value(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if promise.state == "pending" and _has_value(promise):
            yield promise.id


# 7
def deadline_verdict_matches_timer_tag(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if promise.settled_at_ms == promise.timeout_at_ms:
            if promise.state != rules.verdict(promise):
                yield f"{promise.id} is {promise.state}"


# 8
def deadline_settlement_has_no_value(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if promise.settled_at_ms == promise.timeout_at_ms and _has_value(promise):
            yield promise.id


# 9
def timer_not_targeted(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if rules.is_timer(promise) and tags.TARGET in promise.tags:
            yield promise.id


# 10 and 94
def timedout_is_server_owned(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if promise.state == "rejected_timedout":
            if promise.settled_at_ms != promise.timeout_at_ms:
                yield promise.id


# 11
def callbacks_unique(stored: Stored, now_ms: int) -> Iterator[str]:
    if len(set(stored.snapshot.callbacks)) != len(stored.snapshot.callbacks):
        yield str(stored.snapshot.callbacks)


# 12
def listeners_unique(stored: Stored, now_ms: int) -> Iterator[str]:
    if len(set(stored.snapshot.listeners)) != len(stored.snapshot.listeners):
        yield str(stored.snapshot.listeners)


# 13
def obligations_require_external(stored: Stored, now_ms: int) -> Iterator[str]:
    for id in stored.callbacks.keys() | stored.listeners.keys():
        promise = stored.promises.get(id)
        if promise is None or not rules.is_external(promise):
            yield id


# 14
def awaiter_is_not_self(stored: Stored, now_ms: int) -> Iterator[str]:
    for id in stored.promises:
        if id in stored.awaiters(id):
            yield id


# 15
def created_at_lte_now(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if promise.created_at_ms > now_ms:
            yield promise.id


# 16
def settled_at_lte_now(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if promise.settled_at_ms is not None and promise.settled_at_ms > now_ms:
            yield promise.id


# 17
def acquired_iff_has_pid(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise, task in stored.tasks():
        if (task.state == "acquired") != (task.pid is not None):
            yield promise.id


# 18
def acquired_iff_has_ttl(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise, task in stored.tasks():
        if (task.state == "acquired") != (task.lease_ms is not None):
            yield promise.id


# 19
def acquired_iff_has_expires_at(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise, task in stored.tasks():
        if (task.state == "acquired") != (task.expires_at_ms is not None):
            yield promise.id


# 20
def pending_iff_has_retry_at(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise, task in stored.tasks():
        if (task.state == "pending") != (task.retry_at_ms is not None):
            yield promise.id


def _is_cleared(task: Task) -> bool:
    return (task.pid, task.lease_ms, task.expires_at_ms, task.retry_at_ms) == (None,) * 4


# 21
def fulfilled_is_cleared(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise, task in stored.tasks():
        if task.state == "fulfilled" and not (_is_cleared(task) and not task.resumes):
            yield promise.id


# 22 and 24
def suspended_is_cleared(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise, task in stored.tasks():
        if task.state == "suspended" and not (_is_cleared(task) and not task.resumes):
            yield promise.id


# 23
def halted_is_cleared(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise, task in stored.tasks():
        if task.state == "halted" and not _is_cleared(task):
            yield promise.id


# 25
def resumes_unique(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise, task in stored.tasks():
        if len(set(task.resumes)) != len(task.resumes):
            yield f"{promise.id} {task.resumes}"


# 26
def acquired_version_positive(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise, task in stored.tasks():
        if task.state == "acquired" and task.version < 1:
            yield promise.id


# 31 and 32
def ids_unique(stored: Stored, now_ms: int) -> Iterator[str]:
    if len(stored.promises) != len(stored.snapshot.promises):
        yield str([promise.id for promise in stored.snapshot.promises])


# 35
def task_iff_targeted_promise(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise in stored.promises.values():
        if (promise.task is not None) != (tags.TARGET in promise.tags):
            yield promise.id


# 36 and 37
def settled_promise_has_fulfilled_task(stored: Stored, now_ms: int) -> Iterator[str]:
    for promise, task in stored.tasks():
        if (promise.state != "pending") != (task.state == "fulfilled"):
            yield f"{promise.id} is {promise.state}, its task {task.state}"


# 38
def callback_awaiter_is_targeted(stored: Stored, now_ms: int) -> Iterator[str]:
    for callback in stored.snapshot.callbacks:
        if stored.task(callback.awaiter) is None:
            yield str(callback)


# 39
def listener_addresses_deliverable(stored: Stored, now_ms: int) -> Iterator[str]:
    for listener in stored.snapshot.listeners:
        if addresses.normalize(listener.address) != listener.address:
            yield str(listener)


# 45
def suspended_task_holds_rung(stored: Stored, now_ms: int) -> Iterator[str]:
    awaiters = {callback.awaiter for callback in stored.snapshot.callbacks}
    for promise, task in stored.tasks():
        if task.state == "suspended" and promise.timeout_at_ms > now_ms:
            if promise.id not in awaiters:
                yield promise.id


def consistent_timer(stored: Stored, now_ms: int) -> Iterator[str]:
    """Ours: whatever becomes due, and whatever is still owed, has a timer that is not too late."""
    for promise in stored.promises.values():
        wanted = _wanted(stored, promise, now_ms)
        if wanted is None:
            continue
        timer_at_ms = promise.timer_at_ms
        if timer_at_ms is None or timer_at_ms > wanted:
            yield f"{promise.id} has its timer at {timer_at_ms}, wants it at {wanted}"
        elif Timer(timer_at_ms, promise.id) not in stored.timers:
            yield f"{promise.id} has its timer at {timer_at_ms}, and no such row exists"


def named_timers(stored: Stored, now_ms: int) -> Iterator[str]:
    """Ours, for one server alone: no timer is left behind."""
    for timer in stored.snapshot.timers:
        promise = stored.promises.get(timer.id)
        if promise is None or promise.timer_at_ms != timer.due_at_ms:
            yield str(timer)


def _wanted(stored: Stored, promise: Promise, now_ms: int) -> int | None:
    if promise.state != "pending":
        if stored.awaiters(promise.id):
            return now_ms + rules.DRAIN_RETRY_MS
        return now_ms + rules.NOTIFY_RETRY_MS if stored.addresses(promise.id) else None
    wanted = [promise.timeout_at_ms] if rules.is_external(promise) else []
    match promise.task:
        case Task(state="acquired", expires_at_ms=int(at_ms)):
            wanted.append(max(at_ms, now_ms + HELD_MS_MAX))
        case Task(state="pending", queued_at_ms=None, retry_at_ms=int(at_ms)):
            wanted.append(max(at_ms, now_ms + HELD_MS_MAX))
        case _:
            pass
    return min(wanted, default=None)


def well_formed_dispatch(stored: Stored, now_ms: int) -> Iterator[str]:
    """Ours: only a pending task waits for room or has a hint, and never both."""
    for promise, task in stored.tasks():
        is_queued, has_hint = task.queued_at_ms is not None, task.hint_at_ms is not None
        if (is_queued or has_hint) and (task.state != "pending" or (is_queued and has_hint)):
            yield promise.id


STATE: tuple[StateInvariant, ...] = (
    created_at_lte_timeout_at,
    pending_created_before_deadline,
    settled_at_lte_timeout_at,
    created_at_lte_settled_at,
    settled_at_iff_not_pending,
    pending_has_no_value,
    deadline_verdict_matches_timer_tag,
    deadline_settlement_has_no_value,
    timer_not_targeted,
    timedout_is_server_owned,
    callbacks_unique,
    listeners_unique,
    obligations_require_external,
    awaiter_is_not_self,
    created_at_lte_now,
    settled_at_lte_now,
    acquired_iff_has_pid,
    acquired_iff_has_ttl,
    acquired_iff_has_expires_at,
    pending_iff_has_retry_at,
    fulfilled_is_cleared,
    suspended_is_cleared,
    halted_is_cleared,
    resumes_unique,
    acquired_version_positive,
    ids_unique,
    task_iff_targeted_promise,
    settled_promise_has_fulfilled_task,
    callback_awaiter_is_targeted,
    listener_addresses_deliverable,
    suspended_task_holds_rung,
    consistent_timer,
    named_timers,
    well_formed_dispatch,
)


# 46
def birth_fields_immutable(step: Step) -> Iterator[str]:
    for before, after in step.promises():
        for field in ("id", "param", "tags", "timeout_at_ms", "created_at_ms"):
            if getattr(before, field) != getattr(after, field):
                yield f"{after.id}.{field}"


# 47, 54 and 55
def settled_promise_record(step: Step) -> Iterator[str]:
    for before, after in step.promises():
        if before.state != "pending":
            for field in ("state", "value", "settled_at_ms"):
                if getattr(before, field) != getattr(after, field):
                    yield f"{after.id}.{field}"


# 48 and 49
def promises_and_tasks_only_grow(step: Step) -> Iterator[str]:
    for id, before in step.before.promises.items():
        after = step.after.promises.get(id)
        if after is None or (before.task is None) != (after.task is None):
            yield id


# 50
def version_increases_only_on_acquisition(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        is_acquisition = before.state == "pending" and after.state == "acquired"
        if after.version != before.version + is_acquisition:
            yield f"{promise.id} from {before.version} to {after.version}"


# 51
def fulfilled_task(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if before.state == "fulfilled" and after != before:
            yield promise.id


# 52
def no_dead_dispatch(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if before.state != "pending" and after.state == "pending" and not step.is_live(promise):
            yield promise.id


# 56
def settled_at_changes_with_state(step: Step) -> Iterator[str]:
    for before, after in step.promises():
        if (before.settled_at_ms != after.settled_at_ms) != (before.state != after.state):
            yield after.id


# 57
def value_unchanged_while_pending(step: Step) -> Iterator[str]:
    for before, after in step.promises():
        if after.state == "pending" and before.value != after.value:
            yield after.id


# 59 and 61
def obligations_only_grow_while_pending(step: Step) -> Iterator[str]:
    for _, after in step.promises():
        if after.state == "pending":
            if not step.before.awaiters(after.id) <= step.after.awaiters(after.id):
                yield f"callbacks of {after.id}"
            if not step.before.addresses(after.id) <= step.after.addresses(after.id):
                yield f"listeners of {after.id}"


# 60 and 62
def obligations_only_shrink_once_settled(step: Step) -> Iterator[str]:
    for before, after in step.promises():
        if before.state != "pending":
            if not step.after.awaiters(after.id) <= step.before.awaiters(after.id):
                yield f"callbacks of {after.id}"
            if not step.after.addresses(after.id) <= step.before.addresses(after.id):
                yield f"listeners of {after.id}"


TASK_EDGES = {
    "pending": {"pending", "acquired", "halted", "fulfilled"},
    "acquired": {"pending", "acquired", "suspended", "halted", "fulfilled"},
    "suspended": {"pending", "suspended", "halted", "fulfilled"},
    "halted": {"pending", "halted", "fulfilled"},
    "fulfilled": {"fulfilled"},
}


# 64 to 67
def task_edges(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if after.state not in TASK_EDGES[before.state]:
            yield f"{promise.id} from {before.state} to {after.state}"


# 68 and 69
def settlement_fulfils_task(step: Step) -> Iterator[str]:
    for before, after in step.promises():
        if before.task is None or after.task is None:
            continue
        is_settlement = before.state == "pending" and after.state != "pending"
        is_fulfilment = before.task.state != "fulfilled" and after.task.state == "fulfilled"
        if is_settlement != is_fulfilment:
            yield after.id


# 70
def obligation_discharge_requires_settled(step: Step) -> Iterator[str]:
    for id, promise in step.after.promises.items():
        is_discharged = (
            step.before.awaiters(id) - step.after.awaiters(id)
            or step.before.addresses(id) - step.after.addresses(id)
        )  # fmt: skip
        if is_discharged and promise.state == "pending":
            yield id


# 71
def callback_consumption_resumes_awaiter(step: Step) -> Iterator[str]:
    for id in step.before.promises:
        for awaiter in step.before.awaiters(id) - step.after.awaiters(id):
            task = step.after.task(awaiter)
            if task is None or (task.state != "fulfilled" and id not in task.resumes):
                yield f"{awaiter} by {id}"


# 73
def wake_follows_callback_consumption(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if before.state == "suspended" and after.state == "pending":
            if not any(
                promise.id in step.before.awaiters(id) - step.after.awaiters(id)
                for id in after.resumes
            ):
                yield promise.id


# 74, in the form that the handler of the specification keeps
def suspension_has_a_pending_awaited(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if before.state != "suspended" and after.state == "suspended":
            if not any(
                other.state == "pending" and promise.id in step.after.awaiters(other.id)
                for other in step.after.promises.values()
            ):
                yield promise.id


# 75 and 81
def task_birth_state(step: Step) -> Iterator[str]:
    for promise in step.born():
        task = promise.task
        if task is None:
            continue
        match task.state:
            case "pending":
                is_right = task.version == 0 and promise.state == "pending" and task.pid is None
            case "acquired":
                is_right = task.version == 1 and promise.state == "pending"
            case "fulfilled":
                is_right = task.version == 0 and promise.state != "pending"
            case "suspended" | "halted":
                is_right = False
        if not is_right or task.resumes:
            yield f"{promise.id} is born {task.state} at version {task.version}"


# 82
def lease_released_atomically(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if before.state == "acquired" and after.state != "acquired":
            cleared = (after.pid, after.lease_ms, after.expires_at_ms) == (None, None, None)
            if not cleared or after.version != before.version:
                yield promise.id


# 83
def lease_holder_stable(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if before.state == after.state == "acquired":
            if (before.pid, before.lease_ms) != (after.pid, after.lease_ms):
                yield promise.id


# 85 and 86
def resumes_grow_or_clear(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if set(before.resumes) <= set(after.resumes):
            continue
        if after.resumes or after.state not in ("acquired", "suspended", "fulfilled"):
            yield f"{promise.id} from {before.resumes} to {after.resumes}"


# 87
def acquisition_is_atomic(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if before.state == "pending" and after.state == "acquired":
            assert after.lease_ms is not None, promise.id
            lease = (after.pid is not None, after.expires_at_ms, after.retry_at_ms, after.resumes)
            if lease != (True, step.now_ms + after.lease_ms, None, ()):
                yield promise.id


# 88
def lease_deadline_is_now_plus_ttl(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if after.expires_at_ms not in (None, before.expires_at_ms):
            if after.expires_at_ms != step.now_ms + (after.lease_ms or 0):
                yield promise.id


# 89: the first hint may be sent in the same step, and a poisonous task is put off (C18)
def pending_entry_arms_retry(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if before.state == "pending" or after.state != "pending":
            continue
        assert after.retry_at_ms is not None, promise.id
        is_sent = after.hint_at_ms == step.now_ms < after.retry_at_ms
        is_put_off = after.lease_losses > before.lease_losses >= 2
        if not (after.retry_at_ms == step.now_ms or is_sent or is_put_off):
            yield f"{promise.id} retries at {after.retry_at_ms}"


# 90 and 91
def retry_rearm_only_when_due_and_forward(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if before.state == after.state == "pending" and before.retry_at_ms != after.retry_at_ms:
            assert before.retry_at_ms is not None, promise.id
            assert after.retry_at_ms is not None, promise.id
            if not before.retry_at_ms <= step.now_ms < after.retry_at_ms:
                yield f"{promise.id} from {before.retry_at_ms} to {after.retry_at_ms}"


# 92
def wake_records_resume(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if before.state == "suspended" and after.state == "pending" and not after.resumes:
            yield promise.id


# 63 and 93
def promise_settlement_stamp(step: Step) -> Iterator[str]:
    for before, after in step.promises():
        if before.state != "pending" or after.state == "pending":
            continue
        at_ms, deadline = after.settled_at_ms, after.timeout_at_ms
        by_client = at_ms == step.now_ms < deadline and after.state != "rejected_timedout"
        by_deadline = (
            at_ms == deadline <= step.now_ms
            and after.state == rules.verdict(after)
            and after.value == before.value
        )
        if not (by_client or by_deadline):
            yield f"{after.id} {after.state} at {at_ms}"


# 59, 61 and 95
def new_promise_born_clean(step: Step) -> Iterator[str]:
    for promise in step.born():
        at_ms = promise.created_at_ms
        is_pending = promise.state == "pending" and at_ms == step.now_ms < promise.timeout_at_ms
        is_settled = (
            promise.state == rules.verdict(promise)
            and at_ms == promise.settled_at_ms == promise.timeout_at_ms <= step.now_ms
        )
        is_free = not (step.after.awaiters(promise.id) or step.after.addresses(promise.id))
        if not (is_pending or is_settled) or _has_value(promise) or not is_free:
            yield promise.id


# 40 to 42, 53 and 77
def execute_only_for_live_task(step: Step) -> Iterator[str]:
    for outgoing in step.sent:
        match outgoing.message:
            case Invoke(data=data) | Resume(data=data):
                promise = step.after.promises.get(data.task.id)
            case Notify():
                continue
        task = None if promise is None else promise.task
        if promise is None or task is None or not step.is_live(promise):
            yield f"a hint for {data.task.id}"
            continue
        target = addresses.parse(promise.tags[tags.TARGET])
        if (task.state, task.version) != ("pending", data.task.version):
            yield f"a hint for {data.task.id} at version {data.task.version}"
        if (outgoing.group, outgoing.is_exclusive) != (target.group, target.cast == "uni"):
            yield f"a hint for {data.task.id} to {outgoing.group}"
        if isinstance(outgoing.message, Resume) != task.is_resumed:
            yield f"a hint for {data.task.id} of the wrong kind"


# 43, 44 and 78
def unblock_carries_the_stored_record(step: Step) -> Iterator[str]:
    for outgoing in step.sent:
        if not isinstance(outgoing.message, Notify):
            continue
        record = outgoing.message.data.promise
        promise = step.after.promises.get(record.id)
        if promise is None or promise.state == "pending" or rules.record(promise) != record:
            yield record.id
        if outgoing.listener is None or outgoing.listener.awaited != record.id:
            yield f"{record.id} to {outgoing.listener}"


# 72, as far as one step shows
def listener_is_told_once(step: Step) -> Iterator[str]:
    told = {outgoing.listener for outgoing in step.sent if outgoing.listener is not None}
    if len(told) != sum(outgoing.listener is not None for outgoing in step.sent):
        yield "a listener is told twice in one step"


TRANSITION: tuple[TransitionInvariant, ...] = (
    birth_fields_immutable,
    settled_promise_record,
    promises_and_tasks_only_grow,
    version_increases_only_on_acquisition,
    fulfilled_task,
    no_dead_dispatch,
    settled_at_changes_with_state,
    value_unchanged_while_pending,
    obligations_only_grow_while_pending,
    obligations_only_shrink_once_settled,
    task_edges,
    settlement_fulfils_task,
    obligation_discharge_requires_settled,
    callback_consumption_resumes_awaiter,
    wake_follows_callback_consumption,
    suspension_has_a_pending_awaited,
    task_birth_state,
    lease_released_atomically,
    lease_holder_stable,
    resumes_grow_or_clear,
    acquisition_is_atomic,
    lease_deadline_is_now_plus_ttl,
    pending_entry_arms_retry,
    retry_rearm_only_when_due_and_forward,
    wake_records_resume,
    promise_settlement_stamp,
    new_promise_born_clean,
    execute_only_for_live_task,
    unblock_carries_the_stored_record,
    listener_is_told_once,
)

INTERNAL_EDGES = {
    "pending": {"pending", "fulfilled"},
    "acquired": {"acquired", "pending", "fulfilled"},
    "suspended": {"suspended", "pending", "fulfilled"},
    "halted": {"halted", "fulfilled"},
    "fulfilled": {"fulfilled"},
}


# 96
def internal_steps_only_give_back_wake_and_time_out(step: Step) -> Iterator[str]:
    for promise, before, after in step.tasks():
        if after.state not in INTERNAL_EDGES[before.state]:
            yield f"{promise.id} from {before.state} to {after.state}"
    for before, after in step.promises():
        if before.state != after.state and after.settled_at_ms != after.timeout_at_ms:
            yield after.id
    yield from (promise.id for promise in step.born())


def check_state(stored: Stored, now_ms: int) -> None:
    """Raise if anything that is stored breaks an invariant."""
    broken = [(test.__name__, list(test(stored, now_ms))) for test in STATE]
    _raise_if_any(broken)


def check_transition(
    before: Stored,
    after: Stored,
    now_ms: int,
    sent: Sequence[Outgoing] = (),
    *,
    is_internal: bool = False,
) -> None:
    """Raise if one step, from the first to the second state, breaks an invariant."""
    step = Step(before, after, now_ms, sent)
    tests = (*TRANSITION, internal_steps_only_give_back_wake_and_time_out)
    broken = [(test.__name__, list(test(step))) for test in (tests if is_internal else TRANSITION)]
    _raise_if_any(broken)


def _raise_if_any(results: list[tuple[str, list[str]]]) -> None:
    broken = [f"{name}: {', '.join(found)}" for name, found in results if found]
    assert not broken, "\n".join(broken)


def apply(before: Snapshot, changes: Changes) -> Snapshot:
    """What is stored after a write: the model of every store."""
    promises = {promise.id: promise for promise in before.promises}
    callbacks, listeners = set(before.callbacks), set(before.listeners)
    timers = set(before.timers)
    for promise in changes.created:
        assert promise.id not in promises, f"{promise.id!r} exists"
    for promise in changes.updated:
        assert promise.id in promises, f"{promise.id!r} does not exist"
    for promise in (*changes.created, *changes.updated):
        promises[promise.id] = promise
    callbacks |= set(changes.callbacks_added)
    callbacks -= set(changes.callbacks_consumed)
    listeners |= set(changes.listeners_added)
    listeners -= set(changes.listeners_told)
    owed = {callback.awaited for callback in callbacks} | {x.awaited for x in listeners}
    timers -= {timer for timer in changes.timers_told if timer.id not in owed}
    timers -= set(changes.timers_disarmed)
    timers |= set(changes.timers_armed)
    return Snapshot(
        promises=tuple(promises[id] for id in sorted(promises)),
        callbacks=_sorted(callbacks),
        listeners=_sorted(listeners),
        timers=_sorted(timers),
    )


def _sorted(rows: Collection[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=astuple))
