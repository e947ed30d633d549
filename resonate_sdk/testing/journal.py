"""What processes ask the server for, in order."""

from msgspec import Struct

from resonate_sdk.protocol.requests import (
    CreateAction,
    PromiseCreate,
    PromiseSettle,
    Request,
    SettleAction,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskSuspend,
)


class Entry(Struct, frozen=True, kw_only=True):
    """One request.

    Attributes:
        at_ms: when it was made, epoch ms.
        pid: by which process.
        what: as `crash(at=...)` names it: `create:id`, `settle:id`, `fulfill:id`, `suspend:id`, or
            the kind of the request.
        status: of the answer; None if none came.
    """

    at_ms: int
    pid: str
    what: str
    status: int | None = None

    @property
    def is_checkpoint(self) -> bool:
        """Whether it changes what an execution has done."""
        return self.what.partition(":")[0] in CHECKPOINTS


CHECKPOINTS = frozenset({"create", "settle", "fulfill", "suspend"})


def name_of(request: Request) -> str:
    """What a request is called in a journal."""
    match request:
        case TaskFence(action=CreateAction(data=create)):
            return f"create:{create.id}"
        case TaskFence(action=SettleAction(data=settle)):
            return f"settle:{settle.id}"
        case TaskCreate(action=CreateAction(data=create)):
            return f"create:{create.id}"
        case PromiseCreate(id=id):
            return f"create:{id}"
        case PromiseSettle(id=id):
            return f"settle:{id}"
        case TaskFulfill(id=id):
            return f"fulfill:{id}"
        case TaskSuspend(id=id):
            return f"suspend:{id}"
        case _:
            return request.kind
