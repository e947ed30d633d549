"""What strict mode leaves out: everything that the protocol does not name."""

from msgspec.structs import replace

from resonate_sdk.protocol.requests import (
    GroupGet,
    GroupList,
    GroupSet,
    GroupWorkers,
    PromiseSearch,
    Request,
    ScheduleSearch,
    TaskAcquire,
    TaskCreate,
    TaskFence,
    TaskGet,
    TaskReport,
    TaskSearch,
    TaskSuspend,
    TriggerCreate,
    TriggerDelete,
    TriggerGet,
    TriggerSearch,
)
from resonate_sdk.protocol.responses import (
    Answer,
    Beaten,
    Fenced,
    Nothing,
    Redirected,
    ScheduleData,
    TaskData,
    TaskGranted,
)

NOT_SERVED = Answer(
    501,
    "searches, reports, limits of groups and triggers are not part of the protocol, and this server "
    "is strict",
)


def request(asked: Request) -> Request | None:
    """The request without our own fields; None if it is one that is not answered at all."""
    match asked:
        case PromiseSearch() | TaskSearch() | ScheduleSearch() | TaskReport():
            return None
        case TriggerCreate() | TriggerDelete() | TriggerGet() | TriggerSearch():
            return None
        case GroupGet() | GroupSet() | GroupList() | GroupWorkers():
            return None
        case TaskGet():
            return replace(asked, details=False) if asked.details else asked
        case TaskSuspend():
            return replace(asked, preload=True, settled_since_ms=None)
        case TaskCreate() | TaskAcquire() | TaskFence():
            return asked if asked.preload else replace(asked, preload=True)
        case _:
            return asked


def answer(given: Answer) -> Answer:
    """The answer without our own fields."""
    match given.data:
        case Beaten():
            return Answer(given.status, Nothing())
        case TaskData(task=task) if task.details is not None:
            return Answer(given.status, TaskData(task=replace(task, details=None)))
        case ScheduleData(schedule=schedule):
            shown = replace(schedule, timezone=None, overlap=None, missed=None)
            return Answer(given.status, ScheduleData(schedule=shown))
        case TaskGranted() | Fenced() | Redirected() as data:
            return Answer(given.status, replace(data, preload_cut=False))
        case _:
            return given
