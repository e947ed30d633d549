"""What the server tells about its objects: promises, tasks and the values they carry."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from resonate_sdk.protocol import limits

PromiseState = Literal["pending", "resolved", "rejected", "rejected_canceled", "rejected_timedout"]
SettledState = Literal["resolved", "rejected", "rejected_canceled", "rejected_timedout"]
SettleState = Literal["resolved", "rejected", "rejected_canceled"]
TaskState = Literal["pending", "acquired", "suspended", "halted", "fulfilled"]
OverlapPolicy = Literal["allow", "skip"]
MissedPolicy = Literal["all", "latest", "none"]


class Value(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """An opaque value: the server stores it and never looks inside.

    Attributes:
        headers: what readers must know to decode `data`.
        data: by convention base64 of JSON; absent means no value.
    """

    headers: Mapping[str, str] | None = None
    data: str | None = None

    def size_bytes(self) -> int:
        """Count the UTF-8 bytes of the data and the headers."""
        size = 0 if self.data is None else len(self.data.encode())
        for key, text in (self.headers or {}).items():
            size += len(key.encode()) + len(text.encode())
        return size


EMPTY = Value()


class PromiseRecord(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A durable promise as the server shows it: always after the deadline rule.

    Attributes:
        timeout_at_ms: deadline, epoch ms; a promise still pending then is settled by the server.
        created_at_ms: epoch ms on the clock of the database.
        settled_at_ms: epoch ms; absent while pending.
    """

    id: str
    state: PromiseState
    param: Value
    value: Value
    tags: Mapping[str, str]
    timeout_at_ms: int = field(name="timeoutAt")
    created_at_ms: int = field(name="createdAt")
    settled_at_ms: int | None = field(name="settledAt", default=None)


class Trouble(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why what runs in a task has failed, in the words of its holder.

    Attributes:
        id: the promise whose function has failed: that of the task, or of a step in it.
        reason: what was wrong.
        pid: the process in which it has failed.
        attempts: how often, in a row and in that process.
        at_ms: when it was told.
        again_at_ms: when it is to be tried again; absent if it is not.
    """

    id: str
    reason: str
    pid: str
    attempts: int
    at_ms: int = field(name="at")
    again_at_ms: int | None = field(name="againAt", default=None)


class TaskDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server knows of a task beyond the protocol, for operators.

    Attributes:
        group: the worker group of its target.
        last_pid: the process that held it last.
        expires_at_ms: the end of the lease; only while acquired.
        retry_at_ms: it is not dispatched, or not again, before this instant; only while pending.
        queued_at_ms: since when it waits for room among its group's hints; only while pending.
        hint_at_ms: when it was last dispatched in this wait; only while pending.
        hints: how often it was dispatched in this wait.
        lease_losses: leases lost in a row, without a sign of progress in between.
        trouble: the last that a holder told of this pass, or of the one before.
    """

    group: str
    last_pid: str | None = field(name="lastPid", default=None)
    expires_at_ms: int | None = field(name="expiresAt", default=None)
    retry_at_ms: int | None = field(name="retryAt", default=None)
    queued_at_ms: int | None = field(name="queuedAt", default=None)
    hint_at_ms: int | None = field(name="hintAt", default=None)
    hints: int = 0
    lease_losses: int = field(name="leaseLosses", default=0)
    trouble: Trouble | None = None


class TaskRecord(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A task as the server shows it.

    Attributes:
        version: fencing token, counts acquisitions.
        resumes: how many awaited promises settled since the last acquire or suspend.
        lease_ms: length of the lease; only while acquired.
        pid: the process that holds the lease; only while acquired.
        details: only if they were asked for.
    """

    id: str
    state: TaskState
    version: int
    resumes: int
    lease_ms: int | None = field(name="ttl", default=None)
    pid: str | None = None
    details: TaskDetails | None = None


class ScheduleRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule as the server shows it; the fields are those of its creation.

    Attributes:
        next_run_at_ms: its next occurrence, epoch ms; always after the one before.
        last_run_at_ms: the last occurrence that had a promise; absent before the first.
        timezone: absent, as `overlap` and `missed`, if a server in strict mode shows it.
    """

    id: str
    cron: str
    promise_id: str = field(name="promiseId")
    promise_timeout_ms: int = field(name="promiseTimeout")
    promise_param: Value = field(name="promiseParam")
    promise_tags: Mapping[str, str] = field(name="promiseTags")
    created_at_ms: int = field(name="createdAt")
    next_run_at_ms: int = field(name="nextRunAt")
    last_run_at_ms: int | None = field(name="lastRunAt", default=None)
    timezone: str | None = None
    overlap: OverlapPolicy | None = None
    missed: MissedPolicy | None = None


class TriggerRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trigger as the server keeps and shows it; the fields are those of its creation.

    Attributes:
        promise_id: template of the ids of the promises.
        func: the function that an event starts; absent: events settle promises.
        target: who runs it.
        key: template of the keys that limits of the group look at; absent: there are none.
        priority: template of the priorities; absent: there are none.
        timeout_ms: from an event to the deadline of its promise.
        is_ending: it takes no more events, and is removed soon.
    """

    id: str
    exchange: str
    routing_key: str = field(name="routingKey")
    promise_id: str = field(name="promiseId")
    func: str | None = None
    target: str | None = None
    key: str | None = None
    priority: str | None = None
    timeout_ms: int = field(name="timeout")
    created_at_ms: int = field(name="createdAt")
    is_ending: bool = field(name="isEnding", default=False)


class Rate(Struct, frozen=True, kw_only=True):
    """So many in so much time."""

    count: Annotated[int, Meta(ge=1, le=limits.RATE_COUNT_MAX)]
    per_ms: Annotated[int, Meta(ge=1, le=limits.RATE_PER_MS_MAX)] = field(name="per")


class GroupRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The limits of a worker group; what is absent is not limited.

    Attributes:
        concurrency: executions that its workers may have at a time, all together.
        key_concurrency: those of them that may have the same `resonate:key`.
        rate: executions that may start.
        key_rate: those of them that may have the same `resonate:key`.
        running: executions that it has now, or is about to have; only of a group with limits.
        next_start_at_ms: when its rate allows the next one to start; only if that is not now.
        key_running: those with the key that was asked about.
        key_next_start_at_ms: when the rate of that key allows it; only if that is not now.
    """

    name: str
    concurrency: int | None = None
    key_concurrency: int | None = field(name="keyConcurrency", default=None)
    rate: Rate | None = None
    key_rate: Rate | None = field(name="keyRate", default=None)
    running: int | None = None
    next_start_at_ms: int | None = field(name="nextStartAt", default=None)
    key_running: int | None = field(name="keyRunning", default=None)
    key_next_start_at_ms: int | None = field(name="keyNextStartAt", default=None)


class WorkerRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker as it has described itself in its last `hello`.

    Attributes:
        slots: how many executions it runs at a time.
        in_flight: how many it was running.
        sdk: name and release of its library.
        first_seen_at_ms: its first hello that this server has heard.
        seen_at_ms: its last one.
    """

    pid: str
    group: str
    slots: int | None = None
    in_flight: int | None = field(name="inFlight", default=None)
    sdk: str = ""
    first_seen_at_ms: int = field(name="firstSeenAt")
    seen_at_ms: int = field(name="seenAt")


class TaskRef(Struct, frozen=True, gc=False, kw_only=True):
    """A task at one version."""

    id: str
    version: int
