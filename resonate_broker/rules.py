"""The rules of the protocol that operations and internal steps share.

Each is a function of the working state, the request and the instant of the batch; what follows
from it is put into the working state. Nothing here does I/O.
"""

from collections import deque
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from resonate_broker.kernel.submissions import Load, Outgoing
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import addresses, limits, responses, tags
from resonate_sdk.protocol.messages import MessageHead, Notify, NotifyData
from resonate_sdk.protocol.records import (
    PromiseRecord,
    SettledState,
    TaskDetails,
    TaskRecord,
    Value,
)
from resonate_sdk.protocol.requests import PromiseCreate
from resonate_sdk.protocol.responses import Answer, TaskGranted
from resonate_store.state import Listener, Promise, Task, TaskTrouble, Timer

NOTIFY_RETRY_MS = 5_000  # a listener that was not told is told again after this,
NOTIFY_RETRY_MS_MAX = 60_000  # and ever later: whoever takes no news may be away for long
PRIORITIES = tuple("0123456789")
DRAIN_RETRY_MS = 10  # an awaiter that somebody else held is woken after this

_encoder = msgspec.json.Encoder()


def is_timer(promise: Promise) -> bool:
    """Whether the promise resolves at its deadline instead of timing out."""
    return promise.tags.get(tags.TIMER) == tags.TRUE


def is_external(promise: Promise) -> bool:
    """Whether somebody other than the running pass settles it, so that it may be awaited."""
    return (
        promise.tags.get(tags.EXTERNAL) == tags.TRUE
        or tags.TARGET in promise.tags
        or is_timer(promise)
    )


def is_due(promise: Promise, now_ms: int) -> bool:
    """Whether the deadline has passed without a settlement."""
    return promise.state == "pending" and promise.timeout_at_ms <= now_ms


def verdict(promise: Promise) -> SettledState:
    """The state that the deadline gives."""
    return "resolved" if is_timer(promise) else "rejected_timedout"


def project(promise: Promise, now_ms: int) -> Promise:
    """The promise as everybody sees it: after the deadline rule."""
    if not is_due(promise, now_ms):
        return promise
    return replace(
        promise,
        state=verdict(promise),
        settled_at_ms=promise.timeout_at_ms,
        task=None if promise.task is None else fulfilled(promise.task),
    )


def observe(state: WorkingState, id: str) -> Promise | None:
    """Look at a promise; a deadline that has passed is stored with all that follows from it."""
    promise = state.promise(id)
    if promise is None or not is_due(promise, state.now_ms):
        return promise
    return expire(state, promise)


def expire(state: WorkingState, promise: Promise) -> Promise:
    """Store the verdict of a deadline that has passed, with all that follows from it (R1)."""
    assert is_due(promise, state.now_ms), promise.id
    expired = project(promise, state.now_ms)
    state.put(expired)
    discharge(state, expired)
    return expired


def settle(
    state: WorkingState, promise: Promise, settled_state: SettledState, value: Value
) -> Promise:
    """Settle a pending promise at the instant of the batch, with all that follows from it."""
    assert promise.state == "pending", promise.id
    assert not is_due(promise, state.now_ms), promise.id
    settled = replace(
        promise,
        state=settled_state,
        value=value,
        settled_at_ms=state.now_ms,
        task=None if promise.task is None else fulfilled(promise.task),
    )
    state.put(settled)
    discharge(state, settled)
    return settled


def discharge(state: WorkingState, promise: Promise) -> None:
    """Wake the awaiters of a settled promise, and tell its listeners (R3, R4).

    What is not known here, or is held by another server, is left for the sweep.
    """
    settled = deque([promise])
    while settled:
        promise = settled.popleft()
        assert promise.state != "pending", promise.id
        for awaiter in state.callbacks(promise.id):
            expired = _wake(state, awaiter, promise.id)
            if expired is not None:
                settled.append(expired)
        for address in state.listeners(promise.id):
            _tell(state, promise, address)


def _wake(state: WorkingState, awaiter_id: str, awaited_id: str) -> Promise | None:
    """Wake one awaiter; return it if its own deadline turns out to have passed: that wins."""
    awaiter = state.promise(awaiter_id)
    if awaiter is None:
        return None
    state.consume_callback(awaited_id, awaiter_id)
    if is_due(awaiter, state.now_ms):
        expired = project(awaiter, state.now_ms)
        state.put(expired)
        return expired
    task = awaiter.task
    assert task is not None, f"the awaiter {awaiter_id!r} has no task"
    match task.state:
        case "suspended":
            task = to_pending(task, state.now_ms)
            state.put(replace(awaiter, task=replace(task, resumes=(awaited_id,), is_resumed=True)))
        case "pending" | "acquired" | "halted":
            resumes = (*task.resumes, awaited_id)
            state.put(replace(awaiter, task=replace(task, resumes=resumes)))
        case "fulfilled":
            pass
    return None


def _tell(state: WorkingState, promise: Promise, address: str) -> None:
    message = Notify(
        head=MessageHead(version=limits.VERSION, sent_at_ms=state.now_ms),
        data=NotifyData(promise=record(promise)),
    )
    listener = Listener(promise.id, address)
    match addresses.parse_listener(address):
        case addresses.Address(cast=cast, group=group, pid=pid):
            state.send(Outgoing(group, pid, cast == "uni", message, listener))
        case addresses.ReplyAddress():
            state.send(Outgoing("", None, True, message, listener))


def to_pending(task: Task, retry_at_ms: int) -> Task:
    """The task is up for dispatch from `retry_at_ms` on; version and resumes stay."""
    return replace(
        task,
        state="pending",
        pid=None,
        lease_ms=None,
        expires_at_ms=None,
        is_resumed=False,
        retry_at_ms=retry_at_ms,
        queued_at_ms=None,
        hint_at_ms=None,
        is_hint_sticky=False,
        attempts=0,
    )


def acquired(task: Task, pid: str, lease_ms: int, now_ms: int) -> Task:
    """The task is held by `pid`, one version further."""
    return replace(
        task,
        state="acquired",
        version=task.version + 1,
        pid=pid,
        last_pid=pid,
        lease_ms=lease_ms,
        expires_at_ms=now_ms + lease_ms,
        resumes=(),
        retry_at_ms=None,
        queued_at_ms=None,
        hint_at_ms=None,
    )


def suspended(task: Task) -> Task:
    """The task sleeps until something it awaits settles; that it got here is progress."""
    return replace(
        task,
        state="suspended",
        pid=None,
        lease_ms=None,
        expires_at_ms=None,
        resumes=(),
        lease_losses=0,
    )


def halted(task: Task) -> Task:
    """Nobody has the task, and nobody gets it until it is continued."""
    return replace(
        task,
        state="halted",
        pid=None,
        lease_ms=None,
        expires_at_ms=None,
        is_resumed=False,
        retry_at_ms=None,
        queued_at_ms=None,
        hint_at_ms=None,
        is_hint_sticky=False,
        attempts=0,
    )


def fulfilled(task: Task) -> Task:
    """The task of a settled promise: what it was is left, nothing of what it did."""
    return Task(
        state="fulfilled",
        version=task.version,
        group=task.group,
        priority=task.priority,
        concurrency_key=task.concurrency_key,
        last_pid=task.last_pid,
    )


def held(state: WorkingState, id: str, version: int) -> tuple[Promise, Task] | Answer:
    """Look at a task for whoever says that he holds it at this version, or refuse him."""
    promise = observe(state, id)
    refusal = check_held(promise, id, version)
    if refusal is not None:
        return refusal
    assert promise is not None, "a held task has a promise"
    assert promise.task is not None, "a held task exists"
    return promise, promise.task


def check_held(promise: Promise | None, id: str, version: int) -> Answer | None:
    """Refuse who does not hold the task at this version; None if all is well."""
    if promise is None or promise.task is None:
        return refused(responses.NOT_FOUND, f"no task {id!r}")
    task = promise.task
    if task.state == "acquired" and task.version == version:
        return None
    return refused(
        responses.CONFLICT,
        f"task {id!r} is {task.state} at version {task.version}, the request says acquired at "
        f"version {version}",
    )


def born(request: PromiseCreate, now_ms: int) -> Promise:
    """The promise that a valid creation makes: pending, or settled if its deadline has passed."""
    task = _task(request, now_ms)
    promise = Promise(
        id=request.id,
        state="pending",
        param=request.param,
        tags=request.tags,
        timeout_at_ms=request.timeout_at_ms,
        created_at_ms=min(now_ms, request.timeout_at_ms),
        task=task,
    )
    return project(promise, now_ms)


def _task(request: PromiseCreate, now_ms: int) -> Task | None:
    target = request.tags.get(tags.TARGET)
    if target is None:
        return None
    priority = request.tags.get(tags.PRIORITY, "")
    return Task(
        state="pending",
        version=0,
        group=_group(target),
        priority=int(priority) if priority in PRIORITIES else None,
        concurrency_key=request.tags.get(tags.KEY),
        retry_at_ms=max(now_ms, int(request.tags.get(tags.DELAY, "0"))),
    )


def _group(target: str) -> str:
    """The group of a task; that of somebody who knows no protocol has none."""
    address = addresses.parse_target(target)
    return address.group if isinstance(address, addresses.Address) else ""


def next_look_ms(state: WorkingState, promise: Promise) -> int | None:
    """When somebody must look at the promise again, if nothing happens to it before."""
    if promise.state != "pending":
        return _next_discharge_ms(state, promise)
    deadline_ms = promise.timeout_at_ms if is_external(promise) else None
    look_ms = None if promise.task is None else _next_look_at_task_ms(promise.task)
    if look_ms is None:
        return deadline_ms
    look_ms = max(look_ms, state.held_until_ms(promise.id))
    return look_ms if deadline_ms is None else min(look_ms, deadline_ms)


def _next_look_at_task_ms(task: Task) -> int | None:
    """When a lease ends, or a hint is to be sent."""
    if task.state == "acquired":
        return task.expires_at_ms
    if task.state == "pending" and task.queued_at_ms is None:
        return task.retry_at_ms
    return None


def _next_discharge_ms(state: WorkingState, promise: Promise) -> int | None:
    has_obligations = state.has_obligations(promise.id)
    if has_obligations is False or not is_external(promise):
        return None
    if has_obligations is None:
        return state.now_ms
    if state.callbacks(promise.id):
        return state.now_ms + DRAIN_RETRY_MS
    return state.now_ms + notify_retry_ms(promise, state.now_ms)


def notify_retry_ms(promise: Promise, now_ms: int) -> int:
    """How long to wait before listeners are told again: as long as they have been owed the news."""
    assert promise.settled_at_ms is not None, f"there are no news of {promise.id!r}"
    owed_ms = now_ms - promise.settled_at_ms
    return min(max(owed_ms, NOTIFY_RETRY_MS), NOTIFY_RETRY_MS_MAX)


def set_timer(state: WorkingState, promise: Promise) -> Promise:
    """Keep the timer of a promise in step: never later than the next look, seldom moved.

    A timer that stands too early is left alone: whoever looks then moves it.
    """
    wanted, current = next_look_ms(state, promise), promise.timer_at_ms
    if current is not None and wanted is not None and state.now_ms < current <= wanted:
        return promise
    if current == wanted:
        return promise
    if current is not None:
        state.disarm(Timer(current, promise.id))
    if wanted is not None:
        state.arm(Timer(wanted, promise.id))
    promise = replace(promise, timer_at_ms=wanted)
    state.put(promise)
    return promise


def preload(state: WorkingState, root: Promise) -> tuple[tuple[PromiseRecord, ...], bool]:
    """What a replay of the root needs, and whether it was cut at the limit of a message.

    A deadline that has passed is stored with this answer, so a promise whose deadline has passed
    must be under our lock: see `lacking`.
    """
    return fitting(state, state.family(root))


def settled_since(state: WorkingState, promises: Iterable[Promise], since_ms: int) -> list[Promise]:
    """Those that have settled at an instant or later, in the order in which they have.

    If they do not all fit into a message, the next one can go on where this one ends.
    """
    settled = [
        (promise.timeout_at_ms if is_due(promise, state.now_ms) else promise.settled_at_ms, promise)
        for promise in promises
    ]
    since = [(at_ms, promise) for at_ms, promise in settled if at_ms is not None]
    since.sort(key=lambda pair: pair[0])
    return [promise for at_ms, promise in since if at_ms >= since_ms]


def fitting(
    state: WorkingState, promises: Iterable[Promise]
) -> tuple[tuple[PromiseRecord, ...], bool]:
    """Show promises, and whether that was cut at the limit of a message: the first always fits.

    What counts is what is sent: JSON writes some characters with six bytes.
    """
    records: list[PromiseRecord] = []
    size = 0
    for promise in promises:
        shown = record(project(promise, state.now_ms))
        size += len(_encoder.encode(shown))
        if records and size > limits.PRELOAD_BYTES_MAX:
            return tuple(records), True
        if is_due(promise, state.now_ms):
            expire(state, promise)
        records.append(shown)
    return tuple(records), False


def lacking(state: WorkingState, root: Promise) -> Load | None:
    """What a batch must load before it can show a preload, and has not yet.

    Whoever serves the verdict of a deadline stores it: so those whose deadline has passed. In
    strict mode also the first of the branch, by which nobody else finds it. And the branch itself,
    if an earlier request of the batch has put the promise into another one than it is called.
    """
    due = tuple(
        promise.id
        for promise in state.family(root)
        if is_due(promise, state.now_ms) and not state.is_named(promise.id)
    )
    first = state.first_to_name(root)
    ids = due if first is None else (first, *due)
    branch = root.branch
    unread = () if branch is None or state.has_read(branch) else (branch,)
    return Load(ids=ids, branches=unread) if ids or unread else None


def granted(state: WorkingState, promise: Promise, *, preloaded: bool) -> Answer:
    """An answer that gives a task with its promise and, if wanted, what a replay needs."""
    records, cut = preload(state, promise) if preloaded else ((), False)
    granted = TaskGranted(
        task=task_record(promise), promise=record(promise), preload=records, preload_cut=cut
    )
    return Answer(responses.OK, granted)


def record(promise: Promise) -> PromiseRecord:
    """The promise as it is shown."""
    return PromiseRecord(
        id=promise.id,
        state=promise.state,
        param=promise.param,
        value=promise.value,
        tags=promise.tags,
        timeout_at_ms=promise.timeout_at_ms,
        created_at_ms=promise.created_at_ms,
        settled_at_ms=promise.settled_at_ms,
    )


def task_record(
    promise: Promise, *, details: bool = False, trouble: TaskTrouble | None = None
) -> TaskRecord:
    """The task of a promise as it is shown; its details are for operators alone."""
    task = promise.task
    assert task is not None, f"{promise.id!r} has no task"
    return TaskRecord(
        id=promise.id,
        state=task.state,
        version=task.version,
        resumes=len(task.resumes),
        lease_ms=task.lease_ms,
        pid=task.pid,
        details=_task_details(task, trouble) if details else None,
    )


def _task_details(task: Task, trouble: TaskTrouble | None) -> TaskDetails:
    is_pending = task.state == "pending"
    return TaskDetails(
        group=task.group,
        last_pid=task.last_pid,
        expires_at_ms=task.expires_at_ms,
        retry_at_ms=task.retry_at_ms,
        queued_at_ms=task.queued_at_ms,
        hint_at_ms=task.hint_at_ms,
        hints=task.attempts if is_pending else 0,
        lease_losses=task.lease_losses,
        trouble=trouble.trouble if trouble is not None and _is_recent(trouble, task) else None,
    )


def _is_recent(trouble: TaskTrouble, task: Task) -> bool:
    """Whether what was told is of this pass, or of the one before, which did not come far."""
    if task.state in ("suspended", "fulfilled"):
        return False
    return task.version - trouble.version <= (1 if task.state == "acquired" else 0)


def listen(state: WorkingState, promise: Promise, address: str) -> None:
    """Tell an address when a promise settles; of a settled one the answer itself is the news."""
    if promise.state == "pending":
        state.add_listener(promise.id, address)


def refused(status: int, reason: str) -> Answer:
    """An answer that says no, in one sentence."""
    return Answer(status, reason)
