"""The rows of a store, and what one transaction reads and writes.

Plain data: no I/O and no rule, but what it means to hold a place in a group, or to wait for one.

Rows are made of text and numbers: Python's collector of cycles need not look at them (`gc=False`).
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import astuple

from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import (
    EMPTY,
    MissedPolicy,
    OverlapPolicy,
    PromiseState,
    Rate,
    TaskState,
    Trouble,
    Value,
)

ANY = "amqp://any@"  # how the stored address of a group begins


class Task(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The right to advance the execution of one promise.

    Attributes:
        version: fencing token: goes up by one with each acquisition and never otherwise.
        pid: the process that holds the lease; only while acquired.
        lease_ms: length of the lease its holder asked for; only while acquired.
        expires_at_ms: end of the lease; only while acquired.
        resumes: awaited promises that settled since the last acquire or suspend.
        group: the worker group of its target.
        priority: wish about order inside the group.
        concurrency_key: key of a limit inside the group.
        last_pid: the process that held it last.
        is_resumed: whether it became pending because an awaited promise settled.
        retry_at_ms: not dispatched (again) before this instant; only while pending.
        queued_at_ms: waiting since then for room among the hints of its group; only while
            pending and due, with no hint sent.
        hint_at_ms: when the last hint of this wait was sent; only while pending.
        is_hint_sticky: whether that hint preferred the process that ran the execution last.
        attempts: hints sent in this wait.
        lease_losses: leases lost in a row without a sign of progress in between.
    """

    state: TaskState
    version: int
    group: str
    pid: str | None = None
    lease_ms: int | None = None
    expires_at_ms: int | None = None
    resumes: tuple[str, ...] = ()
    priority: int | None = None
    concurrency_key: str | None = None
    last_pid: str | None = None
    is_resumed: bool = False
    retry_at_ms: int | None = None
    queued_at_ms: int | None = None
    hint_at_ms: int | None = None
    is_hint_sticky: bool = False
    attempts: int = 0
    lease_losses: int = 0


FIELDS_BYTES = 256  # of names, instants and punctuation, when a promise is written down


class Promise(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A durable promise and, if it has a target, its task: one row, one lock.

    Attributes:
        timeout_at_ms: deadline.
        timer_at_ms: the instant under which the row stands in the timers; never later than the
            next instant at which somebody must look at it.
    """

    id: str
    state: PromiseState
    param: Value
    value: Value = EMPTY
    tags: Mapping[str, str]
    timeout_at_ms: int
    created_at_ms: int
    settled_at_ms: int | None = None
    timer_at_ms: int | None = None
    task: Task | None = None

    @property
    def origin(self) -> str | None:
        """Root of the execution tree it belongs to."""
        return self.tags.get(tags.ORIGIN)

    @property
    def branch(self) -> str | None:
        """The promise whose task executes it."""
        return self.tags.get(tags.BRANCH)

    @property
    def parent(self) -> str | None:
        """The invocation that created it."""
        return self.tags.get(tags.PARENT)

    def size_bytes(self) -> int:
        """About how large it is on the wire."""
        tags_bytes = sum(len(key.encode()) + len(text.encode()) for key, text in self.tags.items())
        values_bytes = self.param.size_bytes() + self.value.size_bytes()
        return FIELDS_BYTES + len(self.id.encode()) + values_bytes + tags_bytes


class Callback(Struct, frozen=True, gc=False, order=True):
    """When the promise `awaited` settles, the task of `awaiter` wakes."""

    awaited: str
    awaiter: str


class Listener(Struct, frozen=True, gc=False, order=True):
    """When the promise `awaited` settles, `address` is told."""

    awaited: str
    address: str


class Wanted(Struct, frozen=True, kw_only=True):
    """Which of the tasks that wait in a group may be named.

    Attributes:
        count_max: no more than so many.
        may_start: whether there may be some among them that were never acquired.
        full_keys: none with these keys.
        late_keys: none with these keys that were never acquired.
    """

    count_max: int
    may_start: bool = True
    full_keys: tuple[str, ...] = ()
    late_keys: tuple[str, ...] = ()


class Timer(Struct, frozen=True, gc=False, order=True):
    """Somebody must look at the promise `id` at `due_at_ms`, not before."""

    due_at_ms: int
    id: str


class Schedule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Creates promises at the instants of a calendar: a row, and a lock.

    Attributes:
        promise_timeout_ms: from an instant to the deadline of its promise.
        next_run_at_ms: the first instant that has not been seen to.
        last_run_at_ms: the last instant that had a promise.
    """

    id: str
    cron: str
    timezone: str
    overlap: OverlapPolicy
    missed: MissedPolicy
    promise_id: str
    promise_timeout_ms: int
    promise_param: Value = EMPTY
    promise_tags: Mapping[str, str]
    created_at_ms: int
    next_run_at_ms: int
    last_run_at_ms: int | None = None


def holds_place(promise: Promise) -> bool:
    """Whether its execution counts among those of its group: somebody runs it, or is about to.

    What is meant for one process, or for somebody who knows no protocol, is not limited.
    """
    task = promise.task
    if task is None or not promise.tags[tags.TARGET].startswith(ANY):
        return False
    is_hinted = task.state == "pending" and task.hint_at_ms is not None
    return task.state == "acquired" or is_hinted


def may_go(promise: Promise, wanted: Wanted) -> bool:
    """Whether a task that waits in its group is one of those that may be named."""
    task = promise.task
    assert task is not None, "a task waits"
    is_start = task.version == 0
    if is_start and not wanted.may_start:
        return False
    key = task.concurrency_key
    return key not in wanted.full_keys and not (is_start and key in wanted.late_keys)


class InboxEntry(Struct, frozen=True, kw_only=True):
    """A call that an application has left in a transaction: where it is, and its promise's id."""

    number: int
    id: str


class InboxRow(Struct, frozen=True, kw_only=True):
    """A call that an application has left in a transaction; it is to become a promise.

    Attributes:
        number: tells it apart from others of the same id.
        timeout_at_ms: deadline.
        tags: as they were left: the target may have any form that is accepted.
    """

    number: int
    id: str
    timeout_at_ms: int
    tags: Mapping[str, str]
    param: Value


class InboxRefusal(Struct, frozen=True, order=True):
    """Why no promise can be made of the call `number`."""

    number: int
    reason: str


class Group(Struct, frozen=True, kw_only=True):
    """The limits of a worker group and what is used up of them: a row, and a lock.

    Attributes:
        concurrency: executions at a time.
        key_concurrency: of those, with the same key.
        rate: executions that start.
        key_rate: of those, with the same key.
        held: promises whose task is acquired or has a hint under way, each with its key or an
            empty text; when it is read, only those of which that is still so.
        starts: how far ahead the starts of a key are, in microseconds since the epoch; those of
            the group as a whole under an empty text.
    """

    name: str
    concurrency: int | None = None
    key_concurrency: int | None = None
    rate: Rate | None = None
    key_rate: Rate | None = None
    held: Mapping[str, str] = {}
    starts: Mapping[str, int] = {}


class TaskTrouble(Struct, frozen=True, kw_only=True):
    """The last trouble that a holder of a task has told of.

    Attributes:
        task: id of its promise.
        origin: the tree with which it goes.
        version: at which the task was held.
    """

    task: str
    origin: str
    version: int
    trouble: Trouble


class Use(Struct, frozen=True, order=True):
    """An execution of the tree `origin` relies on the promise `id` of another tree."""

    id: str
    origin: str


class Event(Struct, frozen=True, kw_only=True):
    """Something that has happened to a promise, a task or a schedule.

    Attributes:
        origin: the execution tree, or the schedule: events of one origin keep their order.
        kind: `promise.resolved` and the like.
        subject: id of the promise or the schedule.
        group: the worker group that it concerns; empty for none.
        data: JSON.
    """

    origin: str
    kind: str
    subject: str
    group: str
    at_ms: int
    data: str


class NumberedEvent(Struct, frozen=True, kw_only=True):
    """An event that is stored, until it has been told.

    Attributes:
        position: its place among all; of one origin it ascends with `sequence`.
        sequence: counts the events of its origin, from 1 on.
    """

    position: int
    sequence: int
    event: Event


class LoadSet(Struct, frozen=True, gc=False, kw_only=True):
    """What a transaction locks and reads.

    Attributes:
        ids: every promise that a request names; locked, if it exists.
        settling: those of `ids` that may settle, so that callbacks, listeners and awaiters matter.
        preload: those of `ids` whose branch and remote children are read as well, without locks.
        branches: branches that are read likewise, by their names.
        schedules: every schedule that a request names; locked, if it exists.
        inbox: calls that wait; locked, if nobody else has them.
        groups: worker groups whose limits matter; locked, if they have any.
        troubles: those of `ids` of whose task it matters what its holders have told.
    """

    ids: tuple[str, ...] = ()
    settling: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    inbox: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()


class Loaded(Struct, frozen=True, gc=False, kw_only=True):
    """What a transaction found.

    Attributes:
        now_ms: its instant, read after the locks were taken.
        promises: the locked rows; an id that is not among them does not exist.
        callbacks: of the settling promises; awaiters that are not among `promises` were locked
            by somebody else, or there were too many.
        listeners: of the settling promises.
        related: rows read for the preload; not locked, so nothing may be decided from them.
        schedules: the locked ones; an id that is not among them does not exist.
        inbox: the locked ones; what is not among them is somebody else's, or has been taken.
        groups: the locked ones; a group that is not among them has no limits.
        troubles: under the locks of their promises.
    """

    now_ms: int
    promises: tuple[Promise, ...] = ()
    callbacks: tuple[Callback, ...] = ()
    listeners: tuple[Listener, ...] = ()
    related: tuple[Promise, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    inbox: tuple[InboxRow, ...] = ()
    groups: tuple[Group, ...] = ()
    troubles: tuple[TaskTrouble, ...] = ()


class Changes(Struct, frozen=True, gc=False, kw_only=True):
    """What a transaction writes; every collection is sorted and names a row once.

    Attributes:
        created: rows that must not exist yet.
        updated: locked rows as they shall be; what a promise and its task were born with does
            not change, and a value does not become empty again.
        callbacks_consumed: callbacks of settled promises that woke their awaiter.
        listeners_told: listeners of settled promises whose message the broker has confirmed;
            the timers in `timers_told` go with the last of them. Those that somebody else holds
            may stay behind: the sweep finds them.
        timers_disarmed: rows to remove from the timers.
        timers_armed: rows to add to the timers.
        uses_added: promises of other trees that executions rely on.
        schedules_created: rows that must not exist yet.
        schedules_updated: locked rows with other instants.
        schedules_deleted: ids of locked rows; these go first, others may be created in their place.
        inbox_taken: locked rows to remove.
        inbox_refused: locked rows that stay, and are not looked at again.
        events: what all this means, in order; none unless somebody wants to know.
        groups_put: rows as they shall be, whether they exist or not.
        groups_deleted: names of groups that have no limits any more.
        troubles_put: of locked promises, whether they have had others or not.
    """

    created: tuple[Promise, ...] = ()
    updated: tuple[Promise, ...] = ()
    callbacks_added: tuple[Callback, ...] = ()
    callbacks_consumed: tuple[Callback, ...] = ()
    listeners_added: tuple[Listener, ...] = ()
    listeners_told: tuple[Listener, ...] = ()
    timers_told: tuple[Timer, ...] = ()
    timers_disarmed: tuple[Timer, ...] = ()
    timers_armed: tuple[Timer, ...] = ()
    uses_added: tuple[Use, ...] = ()
    schedules_created: tuple[Schedule, ...] = ()
    schedules_updated: tuple[Schedule, ...] = ()
    schedules_deleted: tuple[str, ...] = ()
    inbox_taken: tuple[int, ...] = ()
    inbox_refused: tuple[InboxRefusal, ...] = ()
    events: tuple[Event, ...] = ()
    groups_put: tuple[Group, ...] = ()
    groups_deleted: tuple[str, ...] = ()
    troubles_put: tuple[TaskTrouble, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return any(astuple(self))

    @property
    def has_more_than_promises(self) -> bool:
        """Whether there is anything to write beside promises and what hangs on them."""
        return bool(
            self.uses_added
            or self.has_schedules
            or self.inbox_taken
            or self.inbox_refused
            or self.events
            or self.groups_put
            or self.groups_deleted
            or self.troubles_put
        )

    @property
    def has_schedules(self) -> bool:
        """Whether there is anything to write about schedules."""
        return bool(self.schedules_created or self.schedules_updated or self.schedules_deleted)


class Due(Struct, frozen=True, kw_only=True):
    """Names that a sweep should look at; read without locks.

    Attributes:
        now_ms: the instant of the reading.
        timers: due ones, earliest first, no more than asked for.
        next_at_ms: when the earliest timer that is not due will be.
    """

    now_ms: int
    timers: tuple[Timer, ...]
    next_at_ms: int | None


class Backlog(Struct, frozen=True, kw_only=True):
    """What waits beside the promises; read without locks.

    Attributes:
        now_ms: the instant of the reading.
        events: that nobody has been told yet, counted up to a limit.
        oldest_event_at_ms: when the first of them happened.
        inbox: calls of applications that no server has taken, likewise.
        inbox_refused: those that stay for an operator to look at.
        groups: with limits, and what they hold.
    """

    now_ms: int
    events: int
    oldest_event_at_ms: int | None
    inbox: int
    inbox_refused: int
    groups: tuple[Group, ...] = ()


class Page(Struct, frozen=True, kw_only=True):
    """Promises found by a search; read without locks.

    Attributes:
        now_ms: the instant of the reading.
        promises: rows whose tags match, by ascending id.
        scanned_to: the last id looked at, or None when there is nothing behind it.
    """

    now_ms: int
    promises: tuple[Promise, ...]
    scanned_to: str | None


class DueSchedules(Struct, frozen=True, kw_only=True):
    """Schedules that somebody should see to; read without locks.

    Attributes:
        now_ms: the instant of the reading.
        schedules: due ones, earliest first, no more than asked for.
        next_at_ms: when the earliest one that is not due will be.
    """

    now_ms: int
    schedules: tuple[Schedule, ...]
    next_at_ms: int | None


class Retired(Struct, frozen=True, kw_only=True):
    """Trees that may be old enough to go; read without locks.

    Attributes:
        trees: roots of trees of which some promise has been settled for long.
        next_position: where to go on; 0 behind the last row.
    """

    trees: tuple[str, ...]
    next_position: int


class ScheduleRows(Struct, frozen=True, kw_only=True):
    """Schedules found by a search; read without locks.

    Attributes:
        schedules: rows whose tags match, by ascending id.
        scanned_to: the last id looked at, or None when there is nothing behind it.
    """

    schedules: tuple[Schedule, ...]
    scanned_to: str | None


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything that is stored, sorted; for tests and for debugging."""

    promises: tuple[Promise, ...] = ()
    callbacks: tuple[Callback, ...] = ()
    listeners: tuple[Listener, ...] = ()
    timers: tuple[Timer, ...] = ()
    schedules: tuple[Schedule, ...] = ()
