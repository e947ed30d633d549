"""What the server answers: a status and, on success, one of these structs as `data`."""

from collections.abc import Mapping

from msgspec import Struct, field

from resonate_sdk.protocol.messages import Message
from resonate_sdk.protocol.records import (
    GroupRecord,
    PromiseRecord,
    ScheduleRecord,
    TaskRecord,
    TaskRef,
    TriggerRecord,
    WorkerRecord,
)
from resonate_sdk.protocol.requests import ActionHead

OK = 200
REDIRECT = 300  # task.suspend only: an awaited promise is settled, do not sleep
MALFORMED = 400
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409
UNPROCESSABLE = 422
INTERNAL = 500  # the fate of the request is unknown
UNAVAILABLE = 503  # not attempted; ask again

RETRYABLE = frozenset({UNAVAILABLE})


class Nothing(Struct, frozen=True, kw_only=True):
    """An empty object."""


class PromiseData(Struct, frozen=True, gc=False, kw_only=True):
    """One promise."""

    promise: PromiseRecord


class PromisePage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of a search; with a cursor there may be more, even if this page is empty."""

    promises: tuple[PromiseRecord, ...]
    cursor: str | None = None


class TaskData(Struct, frozen=True, kw_only=True):
    """One task."""

    task: TaskRecord


class TaskPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of a search; with a cursor there may be more, even if this page is empty."""

    tasks: tuple[TaskRecord, ...]
    cursor: str | None = None


class ScheduleData(Struct, frozen=True, kw_only=True):
    """One schedule."""

    schedule: ScheduleRecord


class SchedulePage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of a search; with a cursor there may be more, even if this page is empty."""

    schedules: tuple[ScheduleRecord, ...]
    cursor: str | None = None


class TriggerData(Struct, frozen=True, kw_only=True):
    """One trigger."""

    trigger: TriggerRecord


class TriggerPage(Struct, frozen=True, kw_only=True):
    """All triggers, by ascending id."""

    triggers: tuple[TriggerRecord, ...]


class GroupData(Struct, frozen=True, kw_only=True):
    """The limits of one group."""

    group: GroupRecord


class GroupPage(Struct, frozen=True, kw_only=True):
    """All groups that have limits, by name."""

    groups: tuple[GroupRecord, ...]


class WorkerPage(Struct, frozen=True, kw_only=True):
    """Workers that were heard lately, by group and process."""

    workers: tuple[WorkerRecord, ...]


class SnapTimeout(Struct, frozen=True, kw_only=True):
    """A deadline that is armed."""

    id: str
    timeout: int


class SnapTaskTimeout(Struct, frozen=True, kw_only=True):
    """An instant at which a task is looked at: type 0 is its next dispatch, 1 its lease."""

    id: str
    type: int
    timeout: int


class SnapCallback(Struct, frozen=True, kw_only=True):
    """A task that waits for a promise."""

    awaiter: str
    awaited: str


class SnapListener(Struct, frozen=True, kw_only=True):
    """An address that waits for a promise."""

    id: str
    address: str


class SnapMessage(Struct, frozen=True, kw_only=True):
    """A message that is under way, or waits to be sent."""

    address: str
    message: Message


class SnapData(Struct, frozen=True, kw_only=True):
    """Everything that is stored, sorted."""

    promises: tuple[PromiseRecord, ...]
    promise_timeouts: tuple[SnapTimeout, ...] = field(name="promiseTimeouts")
    callbacks: tuple[SnapCallback, ...]
    listeners: tuple[SnapListener, ...]
    tasks: tuple[TaskRecord, ...]
    task_timeouts: tuple[SnapTaskTimeout, ...] = field(name="taskTimeouts")
    messages: tuple[SnapMessage, ...]


class TaskGranted(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A task with its promise and what a replay of it needs.

    Attributes:
        preload_cut: the preload was longer than the limit; the rest is found by searches.
    """

    task: TaskRecord
    promise: PromiseRecord
    preload: tuple[PromiseRecord, ...]
    preload_cut: bool = field(name="preloadCut", default=False)


class Redirected(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The task stays acquired: something it wanted to wait for is settled."""

    preload: tuple[PromiseRecord, ...]
    preload_cut: bool = field(name="preloadCut", default=False)


class InnerHead(ActionHead, frozen=True, kw_only=True, omit_defaults=True):
    """The head of the inner answer of a fence."""

    status: int
    version: str


class InnerAnswer(Struct, frozen=True, gc=False, kw_only=True):
    """What the action inside a fence answered by itself."""

    kind: str
    head: InnerHead
    data: PromiseData | str


class Fenced(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The fence held; the inner answer says what became of the action."""

    action: InnerAnswer
    preload: tuple[PromiseRecord, ...]
    preload_cut: bool = field(name="preloadCut", default=False)


class Beaten(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A heartbeat was taken; `lost` lists the tasks that the process does not hold any more."""

    lost: tuple[TaskRef, ...] = ()


class Welcome(Struct, frozen=True, kw_only=True):
    """A server is there.

    Attributes:
        partitions: how many submission queues there are.
        request_bytes_max: the largest message it takes.
        version: the protocol version it speaks.
    """

    partitions: int
    request_bytes_max: int = field(name="requestBytesMax")
    version: str


Success = (
    Nothing
    | PromiseData
    | PromisePage
    | TaskData
    | TaskPage
    | TaskGranted
    | ScheduleData
    | SchedulePage
    | TriggerData
    | TriggerPage
    | GroupData
    | GroupPage
    | WorkerPage
    | SnapData
    | Fenced
    | Beaten
    | Welcome
)
Data = Success | Redirected | str


class Answer(Struct, frozen=True, gc=False):
    """The outcome of one request before it is put into an envelope.

    Attributes:
        status: 200, or what was wrong.
        data: an object of the kind, or with an error one sentence.
    """

    status: int
    data: Data

    @property
    def is_ok(self) -> bool:
        """Whether the request did what it asked for."""
        return self.status == OK


# What a successful answer to each kind carries; `task.suspend` has two successes.
DATA: Mapping[str, type[Success]] = {
    "promise.get": PromiseData,
    "promise.create": PromiseData,
    "promise.settle": PromiseData,
    "promise.register_callback": PromiseData,
    "promise.register_listener": PromiseData,
    "promise.search": PromisePage,
    "task.get": TaskData,
    "task.create": TaskGranted,
    "task.acquire": TaskGranted,
    "task.release": Nothing,
    "task.report": Nothing,
    "task.fulfill": PromiseData,
    "task.suspend": Nothing,
    "task.fence": Fenced,
    "task.heartbeat": Beaten,
    "task.halt": Nothing,
    "task.continue": Nothing,
    "task.search": TaskPage,
    "schedule.get": ScheduleData,
    "schedule.create": ScheduleData,
    "schedule.delete": Nothing,
    "schedule.search": SchedulePage,
    "trigger.get": TriggerData,
    "trigger.create": TriggerData,
    "trigger.delete": Nothing,
    "trigger.search": TriggerPage,
    "group.get": GroupData,
    "group.set": GroupData,
    "group.list": GroupPage,
    "group.workers": WorkerPage,
    "debug.start": Nothing,
    "debug.stop": Nothing,
    "debug.reset": Nothing,
    "debug.tick": Nothing,
    "debug.snap": SnapData,
    "hello": Welcome,
}
