"""One struct per request kind, checked when it is decoded.

A request that decodes is storable: every later layer trusts its types, ranges and lengths.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, field

from resonate_sdk.protocol import addresses, limits
from resonate_sdk.protocol.records import EMPTY, PromiseState, SettleState, TaskRef, Value
from resonate_sdk.protocol.tags import EXTERNAL

Instant = Annotated[int, Meta(ge=0, le=limits.INSTANT_MS_MAX)]
Id = Annotated[str, Meta(min_length=1)]  # and see `check_id`
Name = Annotated[str, Meta(pattern=rf"^{limits.NAME_PATTERN}\Z")]
LeaseMs = Annotated[int, Meta(ge=limits.LEASE_MS_MIN, le=limits.LEASE_MS_MAX)]
Version = Annotated[int, Meta(ge=0, le=limits.INSTANT_MS_MAX)]
PageSize = Annotated[int, Meta(ge=1, le=limits.SEARCH_PAGE_MAX)]


class Request(Struct, frozen=True, kw_only=True):
    """What a client asks for; `kind` is its name on the wire."""

    kind: ClassVar[str]

    def origin(self) -> str:
        """Name the object that decides the partition, unless the sender knows better."""
        return "default"


class ActionHead(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The head of a nested action; its correlation id is echoed."""

    correlation_id: str | None = field(name="corrId", default=None)


class PromiseGet(Request, frozen=True, kw_only=True):
    """Read one promise."""

    kind: ClassVar[str] = "promise.get"
    id: Id

    def __post_init__(self) -> None:
        check_id("id", self.id)

    def origin(self) -> str:
        return self.id


class PromiseCreate(Request, frozen=True, kw_only=True):
    """Create a promise, and with `resonate:target` its task; an existing id is left as it is."""

    kind: ClassVar[str] = "promise.create"
    id: Id
    timeout_at_ms: Instant = field(name="timeoutAt")
    param: Value = EMPTY
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        check_id("id", self.id)
        check_value("param", self.param)
        check_tags(self.tags)

    def origin(self) -> str:
        return self.id


class PromiseSettle(Request, frozen=True, kw_only=True):
    """Settle a promise; one that is settled already stays as it is."""

    kind: ClassVar[str] = "promise.settle"
    id: Id
    state: SettleState
    value: Value = EMPTY

    def __post_init__(self) -> None:
        check_id("id", self.id)
        check_value("value", self.value)

    def origin(self) -> str:
        return self.id


class PromiseRegisterCallback(Request, frozen=True, kw_only=True):
    """Wake the task `awaiter` when the promise `awaited` settles."""

    kind: ClassVar[str] = "promise.register_callback"
    awaited: Id
    awaiter: Id

    def __post_init__(self) -> None:
        check_id("awaited", self.awaited)
        check_id("awaiter", self.awaiter)
        if self.awaited == self.awaiter:
            raise ValueError(f"a promise cannot await itself: {self.awaited!r}")

    def origin(self) -> str:
        return self.awaited


class PromiseRegisterListener(Request, frozen=True, kw_only=True):
    """Notify `address` when the promise `awaited` settles."""

    kind: ClassVar[str] = "promise.register_listener"
    awaited: Id
    address: str

    def __post_init__(self) -> None:
        check_id("awaited", self.awaited)
        try:
            addresses.parse(self.address)
        except addresses.AddressError as error:
            raise ValueError(f"address {error}") from error

    def origin(self) -> str:
        return self.awaited


class PromiseSearch(Request, frozen=True, kw_only=True):
    """List promises whose tags contain the given pairs, by ascending id."""

    kind: ClassVar[str] = "promise.search"
    state: PromiseState | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    limit: PageSize = limits.SEARCH_PAGE_DEFAULT
    cursor: str | None = None

    def __post_init__(self) -> None:
        check_tags(self.tags)
        if self.cursor is not None:
            check_id("cursor", self.cursor)


class CreateAction(Struct, frozen=True, kw_only=True, tag_field="kind", tag="promise.create"):
    """A `promise.create` inside another request."""

    data: PromiseCreate
    head: ActionHead = ActionHead()


class SettleAction(Struct, frozen=True, kw_only=True, tag_field="kind", tag="promise.settle"):
    """A `promise.settle` inside another request."""

    data: PromiseSettle
    head: ActionHead = ActionHead()


class CallbackAction(
    Struct, frozen=True, kw_only=True, tag_field="kind", tag="promise.register_callback"
):
    """A `promise.register_callback` inside `task.suspend`."""

    data: PromiseRegisterCallback
    head: ActionHead = ActionHead()


class TaskGet(Request, frozen=True, kw_only=True):
    """Read one task."""

    kind: ClassVar[str] = "task.get"
    id: Id

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
    action: CreateAction
    preload: bool = True

    def origin(self) -> str:
        return self.action.data.id


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


class TaskFulfill(Request, frozen=True, kw_only=True):
    """Settle the promise of an acquired task, as its holder."""

    kind: ClassVar[str] = "task.fulfill"
    id: Id
    version: Version
    action: SettleAction

    def __post_init__(self) -> None:
        check_id("id", self.id)
        if self.action.data.id != self.id:
            raise ValueError(
                f"a task fulfills its own promise {self.id!r}, not {self.action.data.id!r}"
            )

    def origin(self) -> str:
        return self.id


class TaskSuspend(Request, frozen=True, kw_only=True):
    """Put an acquired task to sleep until one of the awaited promises settles."""

    kind: ClassVar[str] = "task.suspend"
    id: Id
    version: Version
    actions: Annotated[
        tuple[CallbackAction, ...], Meta(min_length=1, max_length=limits.AWAITED_PER_SUSPEND_MAX)
    ]
    preload: bool = True

    def __post_init__(self) -> None:
        check_id("id", self.id)
        awaited: set[str] = set()
        for action in self.actions:
            if action.data.awaiter != self.id:
                raise ValueError(
                    f"the awaiter is the suspended task {self.id!r}, not {action.data.awaiter!r}"
                )
            if action.data.awaited in awaited:
                raise ValueError(f"{action.data.awaited!r} is awaited twice")
            awaited.add(action.data.awaited)

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
            raise ValueError(f"a fence acts on another promise than its own {self.id!r}")

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
        for task in self.tasks:
            check_id("tasks.id", task.id)
            if not 0 <= task.version <= limits.INSTANT_MS_MAX:
                raise ValueError(f"a version is 0 or more, found {task.version}")

    def origin(self) -> str:
        return self.tasks[0].id


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
    slots: Annotated[int, Meta(ge=0)] | None = None
    in_flight: Annotated[int, Meta(ge=0)] | None = field(name="inFlight", default=None)
    sdk: str = ""
    version: str = limits.VERSION


KINDS: Mapping[str, type[Request]] = {
    kind.kind: kind
    for kind in (
        PromiseGet,
        PromiseCreate,
        PromiseSettle,
        PromiseRegisterCallback,
        PromiseRegisterListener,
        PromiseSearch,
        TaskGet,
        TaskCreate,
        TaskAcquire,
        TaskRelease,
        TaskFulfill,
        TaskSuspend,
        TaskFence,
        TaskHeartbeat,
        Hello,
    )
}

CreateFaultKind = Literal["promise.create", "task.create"]


def create_fault(request: PromiseCreate, *, acquire: bool) -> str | None:
    """Say what makes a creation impossible, in one sentence, or None.

    These are rules about tags that belong together; inside `task.fence` they are the inner
    answer, so they are not part of decoding.

    Args:
        request: the creation.
        acquire: whether it comes with `task.create`, which runs the task at once.
    """
    tags = request.tags
    target = tags.get("resonate:target")
    if target is None:
        if acquire:
            return "task.create needs the tag resonate:target"
        if "resonate:delay" in tags:
            return "resonate:delay needs resonate:target"
        return None
    if tags.get("resonate:timer") == "true":
        return "a promise is a timer or has a target, not both"
    try:
        addresses.parse(target)
    except addresses.AddressError as error:
        return f"resonate:target: {error}"
    delay = tags.get("resonate:delay")
    if delay is None:
        return None
    if acquire:
        return "task.create runs at once: resonate:delay is not allowed"
    if not (delay.isascii() and delay.isdigit()) or int(delay) > limits.INSTANT_MS_MAX:
        return f"resonate:delay is an instant in epoch ms, found {delay!r}"
    if int(delay) >= request.timeout_at_ms:
        return f"resonate:delay {delay} is not before timeoutAt {request.timeout_at_ms}"
    return None


def check_id(name: str, text: str) -> None:
    """Refuse an id that no store could keep.

    Raises:
        ValueError: it is empty, longer than the limit in bytes, or holds NUL.
    """
    if not text:
        raise ValueError(f"{name} is empty")
    if _bytes_over(text, limits.ID_BYTES_MAX):
        raise ValueError(
            f"{name} has {len(text.encode())} bytes, the limit is {limits.ID_BYTES_MAX}"
        )
    _check_text(name, text)


def check_value(name: str, value: Value) -> None:
    """Refuse a value above the limit.

    Raises:
        ValueError: it is larger than 1 MiB, or holds NUL.
    """
    if value.data is None and not value.headers:
        return
    size = value.size_bytes()
    if size > limits.VALUE_BYTES_MAX:
        raise ValueError(f"{name} has {size} bytes, the limit is {limits.VALUE_BYTES_MAX}")
    if value.data is not None:
        _check_text(f"{name}.data", value.data)
    for key, text in (value.headers or {}).items():
        _check_text(f"{name}.headers", key)
        _check_text(f"{name}.headers", text)


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags above a limit.

    Raises:
        ValueError: there are too many, or one is too long or holds NUL.
    """
    count = len(tags) - (EXTERNAL in tags)  # which a promise may get without asking for it
    if count > limits.TAGS_MAX:
        raise ValueError(f"{count} tags, the limit is {limits.TAGS_MAX}")
    for key, text in tags.items():
        if _bytes_over(key, limits.TAG_KEY_BYTES_MAX):
            raise ValueError(
                f"tag key {key[:40]!r}… has {len(key.encode())} bytes, "
                f"the limit is {limits.TAG_KEY_BYTES_MAX}"
            )
        if _bytes_over(text, limits.TAG_VALUE_BYTES_MAX):
            raise ValueError(
                f"tag {key!r} has {len(text.encode())} bytes, "
                f"the limit is {limits.TAG_VALUE_BYTES_MAX}"
            )
        _check_text("tags", key)
        _check_text(f"tag {key!r}", text)


def _bytes_over(text: str, limit: int) -> bool:
    return len(text) * 4 > limit and len(text.encode()) > limit


def _check_text(name: str, text: str) -> None:
    if "\x00" in text:
        raise ValueError(f"{name} holds a NUL character")
