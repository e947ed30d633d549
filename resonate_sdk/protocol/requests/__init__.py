"""One struct per request kind, checked when it is decoded.

A request that decodes is storable: every later layer trusts its types, ranges and lengths.
"""

from collections.abc import Mapping

from resonate_sdk.protocol.requests.base import ActionHead, Request
from resonate_sdk.protocol.requests.checks import (
    check_id,
    check_tags,
    check_value,
    priority_fault,
)
from resonate_sdk.protocol.requests.debug import (
    DebugReset,
    DebugSnap,
    DebugStart,
    DebugStop,
    DebugTick,
)
from resonate_sdk.protocol.requests.groups import (
    GroupGet,
    GroupList,
    GroupSet,
    GroupWorkers,
)
from resonate_sdk.protocol.requests.promises import (
    PromiseCreate,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseRegisterListener,
    PromiseSearch,
    PromiseSettle,
    create_fault,
)
from resonate_sdk.protocol.requests.schedules import (
    ScheduleCreate,
    ScheduleDelete,
    ScheduleGet,
    ScheduleSearch,
)
from resonate_sdk.protocol.requests.tasks import (
    CallbackAction,
    CreateAction,
    Hello,
    SettleAction,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRelease,
    TaskReport,
    TaskSearch,
    TaskSuspend,
)
from resonate_sdk.protocol.requests.triggers import (
    TriggerCreate,
    TriggerDelete,
    TriggerGet,
    TriggerSearch,
)

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
        TaskReport,
        TaskFulfill,
        TaskSuspend,
        TaskFence,
        TaskHeartbeat,
        TaskHalt,
        TaskContinue,
        TaskSearch,
        ScheduleGet,
        ScheduleCreate,
        ScheduleDelete,
        ScheduleSearch,
        TriggerGet,
        TriggerCreate,
        TriggerDelete,
        TriggerSearch,
        GroupGet,
        GroupSet,
        GroupList,
        GroupWorkers,
        DebugStart,
        DebugStop,
        DebugReset,
        DebugTick,
        DebugSnap,
        Hello,
    )
}

# Those that are neither absorbed when they are repeated, nor refused for the version they name.
UNVERSIONED: frozenset[str] = frozenset(
    kind.kind for kind in (TaskHalt, TaskContinue, ScheduleCreate, ScheduleDelete)
)

__all__ = [
    "KINDS",
    "UNVERSIONED",
    "ActionHead",
    "CallbackAction",
    "CreateAction",
    "DebugReset",
    "DebugSnap",
    "DebugStart",
    "DebugStop",
    "DebugTick",
    "GroupGet",
    "GroupList",
    "GroupSet",
    "GroupWorkers",
    "Hello",
    "PromiseCreate",
    "PromiseGet",
    "PromiseRegisterCallback",
    "PromiseRegisterListener",
    "PromiseSearch",
    "PromiseSettle",
    "Request",
    "ScheduleCreate",
    "ScheduleDelete",
    "ScheduleGet",
    "ScheduleSearch",
    "SettleAction",
    "TaskAcquire",
    "TaskContinue",
    "TaskCreate",
    "TaskFence",
    "TaskFulfill",
    "TaskGet",
    "TaskHalt",
    "TaskHeartbeat",
    "TaskRelease",
    "TaskReport",
    "TaskSearch",
    "TaskSuspend",
    "TriggerCreate",
    "TriggerDelete",
    "TriggerGet",
    "TriggerSearch",
    "check_id",
    "check_tags",
    "check_value",
    "create_fault",
    "priority_fault",
]
