"""Requests about tasks, the actions inside them, and `hello`."""

from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, Struct, field

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import TaskRef, TaskState
from resonate_sdk.protocol.requests.base import (
    ActionHead,
    Count,
    Id,
    Instant,
    LeaseMs,
    Name,
    PageSize,
    Request,
    Version,
)
from resonate_sdk.protocol.requests.checks import check_id, check_text
from resonate_sdk.protocol.requests.promises import (
    PromiseCreate,
    PromiseRegisterCallback,
    PromiseSettle,
)

AgainMs = Annotated[int, Meta(ge=0, le=limits.PROMISE_TIMEOUT_MS_DEFAULT)]


class CreateAction(
    Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="promise.create"
):
    """A `promise.create` inside another request."""

    data: PromiseCreate
    head: ActionHead = ActionHead()

    def __post_init__(self) -> None:
        if self.data.listener is not UNSET:
            raise ValueError("data.listener: only a promise.create of its own may have one")


class SettleAction(
    Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="promise.settle"
):
    """A `promise.settle` inside another request."""

    data: PromiseSettle
    head: ActionHead = ActionHead()


class CallbackAction(
    Struct, frozen=True, kw_only=True, tag_field="kind", tag="promise.register_callback"
):
    """A `promise.register_callback` inside `task.suspend`."""

    data: PromiseRegisterCallback
    head: ActionHead = ActionHead()


class NoAction(Struct, frozen=True, kw_only=True, tag_field="kind", tag="-"):
    """Stands beside the one action that is allowed: of a single type the kind might be missing."""


class TaskGet(Request, frozen=True, kw_only=True):
    """Read one task.

    Attributes:
        details: whether the answer carries what the server knows beyond the protocol.
    """

    kind: ClassVar[str] = "task.get"
    id: Id
    details: bool = False

    def __post_init__(self) -> None:
        check_id("id", self.id)

    def origin(self) -> str:
        return self.id


class TaskCreate(Request, frozen=True, kw_only=True):
    """Create a promise and acquire its task at once, or acquire the task that exists.

    Attributes:
        preload: whether the answer carries the promises a replay needs.
    """

    kind: ClassVar[str] = "task.create"
    pid: Name
    lease_ms: LeaseMs = field(name="ttl")
    action: CreateAction | NoAction
    preload: bool = True

    def __post_init__(self) -> None:
        _check_kind("action", self.action)

    @property
    def promise(self) -> PromiseCreate:
        """The promise to create."""
        assert isinstance(self.action, CreateAction), "checked when it was made"
        return self.action.data

    def origin(self) -> str:
        return self.promise.id


class TaskAcquire(Request, frozen=True, kw_only=True):
    """Take a pending task for `lease_ms`; its version goes up by one."""

    kind: ClassVar[str] = "task.acquire"
    id: Id
    version: Version
    pid: Name
    lease_ms: LeaseMs = field(name="ttl")
    preload: bool = True

    def __post_init__(self) -> None:
        check_id("id", self.id)

    def origin(self) -> str:
        return self.id


class TaskRelease(Request, frozen=True, kw_only=True):
    """Give an acquired task back."""

    kind: ClassVar[str] = "task.release"
    id: Id
    version: Version

    def __post_init__(self) -> None:
        check_id("id", self.id)

    def origin(self) -> str:
        return self.id


class TaskReport(Request, frozen=True, kw_only=True):
    """Say why what runs in an acquired task has failed, for those who look; it changes nothing.

    Attributes:
        promise: whose function has failed: that of the task, or of a step in it.
        reason: what was wrong.
        attempts: how often, in a row and in this process.
        again_ms: how long until it is tried again; absent if it is not.
    """

    kind: ClassVar[str] = "task.report"
    id: Id
    version: Version
    promise: Id
    reason: Annotated[str, Meta(min_length=1, max_length=limits.TROUBLE_CHARS_MAX)]
    attempts: Count = 1
    again_ms: AgainMs | None = field(name="again", default=None)

    def __post_init__(self) -> None:
        check_id("id", self.id)
        check_id("promise", self.promise)
        check_text("reason", self.reason)

    def origin(self) -> str:
        return self.id


class TaskFulfill(Request, frozen=True, kw_only=True):
    """Settle the promise of an acquired task, as its holder."""

    kind: ClassVar[str] = "task.fulfill"
    id: Id
    version: Version
    action: SettleAction | NoAction

    def __post_init__(self) -> None:
        check_id("id", self.id)
        _check_kind("action", self.action)
        if self.settlement.id != self.id:
            raise ValueError(
                f"action.data.id: a task fulfills its own promise {self.id!r}, "
                f"not {self.settlement.id!r}"
            )

    @property
    def settlement(self) -> PromiseSettle:
        """What becomes of its promise."""
        assert isinstance(self.action, SettleAction), "checked when it was made"
        return self.action.data

    def origin(self) -> str:
        return self.id


class TaskSuspend(Request, frozen=True, kw_only=True):
    """Put an acquired task to sleep until one of the awaited promises settles.

    Attributes:
        preload: whether an answer that something has settled shows all that a replay needs, and not
            the awaited promises alone.
        settled_since_ms: of these, only what has settled then or later: the rest is known. A hint:
            what is left out because clocks differ is found out when it is waited for.
    """

    kind: ClassVar[str] = "task.suspend"
    id: Id
    version: Version
    actions: Annotated[
        tuple[CallbackAction | NoAction, ...],
        Meta(min_length=1, max_length=limits.AWAITED_PER_SUSPEND_MAX),
    ]
    preload: bool = True
    settled_since_ms: Instant | None = field(name="settledSince", default=None)

    def __post_init__(self) -> None:
        check_id("id", self.id)
        for index, action in enumerate(self.actions):
            _check_kind(f"actions[{index}]", action)
        seen: set[str] = set()
        for index, callback in enumerate(self._callbacks):
            if callback.awaiter != self.id:
                raise ValueError(
                    f"actions[{index}].data.awaiter is the suspended task {self.id!r}, "
                    f"not {callback.awaiter!r}"
                )
            if callback.awaited in seen:
                raise ValueError(
                    f"actions[{index}].data.awaited: {callback.awaited!r} is awaited twice"
                )
            seen.add(callback.awaited)

    @property
    def awaited(self) -> tuple[str, ...]:
        """What it waits for: any of these."""
        return tuple(callback.awaited for callback in self._callbacks)

    @property
    def _callbacks(self) -> list[PromiseRegisterCallback]:
        return [a.data for a in self.actions if isinstance(a, CallbackAction)]

    def origin(self) -> str:
        return self.id


class TaskFence(Request, frozen=True, kw_only=True):
    """Create or settle another promise, on condition that the task is held at this version."""

    kind: ClassVar[str] = "task.fence"
    id: Id
    version: Version
    action: CreateAction | SettleAction
    preload: bool = True

    def __post_init__(self) -> None:
        check_id("id", self.id)
        if self.action.data.id == self.id:
            raise ValueError(
                f"action.data.id: a fence acts on another promise than its own {self.id!r}"
            )

    def origin(self) -> str:
        return self.id


class TaskHeartbeat(Request, frozen=True, kw_only=True):
    """Prolong the leases of tasks that the process holds."""

    kind: ClassVar[str] = "task.heartbeat"
    pid: Name
    tasks: Annotated[
        tuple[TaskRef, ...], Meta(min_length=1, max_length=limits.TASKS_PER_HEARTBEAT_MAX)
    ]

    def __post_init__(self) -> None:
        for index, task in enumerate(self.tasks):
            check_id(f"tasks[{index}].id", task.id)
            if not 0 <= task.version <= limits.INSTANT_MS_MAX:
                raise ValueError(
                    f"tasks[{index}].version is 0 to {limits.INSTANT_MS_MAX}, found {task.version}"
                )

    def origin(self) -> str:
        return self.tasks[0].id


class TaskHalt(Request, frozen=True, kw_only=True):
    """Take a task from whoever has it, and let nobody have it until it is continued."""

    kind: ClassVar[str] = "task.halt"
    id: Id

    def __post_init__(self) -> None:
        check_id("id", self.id)

    def origin(self) -> str:
        return self.id


class TaskContinue(Request, frozen=True, kw_only=True):
    """Let a halted task be dispatched again."""

    kind: ClassVar[str] = "task.continue"
    id: Id

    def __post_init__(self) -> None:
        check_id("id", self.id)

    def origin(self) -> str:
        return self.id


class TaskSearch(Request, frozen=True, kw_only=True):
    """List tasks, by ascending id.

    Attributes:
        details: as in `TaskGet`.
    """

    kind: ClassVar[str] = "task.search"
    state: TaskState | None = None
    details: bool = False
    limit: PageSize = limits.SEARCH_PAGE_DEFAULT
    cursor: str | None = None

    def __post_init__(self) -> None:
        if self.cursor is not None:
            check_id("cursor", self.cursor)


class Hello(Request, frozen=True, kw_only=True):
    """Say who is there; the first request of every process, then every 30 s.

    Attributes:
        group: the group whose tasks the process runs, if it runs any.
        slots: how many executions it runs at a time.
        in_flight: how many it is running.
        sdk: name and release of the sender's library.
    """

    kind: ClassVar[str] = "hello"
    pid: Name
    group: Name | None = None
    slots: Count | None = None
    in_flight: Count | None = field(name="inFlight", default=None)
    sdk: str = ""
    version: str = limits.VERSION

    def __post_init__(self) -> None:
        check_text("sdk", self.sdk)


def _check_kind(name: str, action: Struct) -> None:
    if isinstance(action, NoAction):
        raise ValueError(f"{name}.kind: '-' is no kind of action")
