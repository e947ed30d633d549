"""`task.fence`: a write of a task's holder, on condition that it holds the task."""

from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_broker.operations.promise_create import create
from resonate_broker.operations.promise_settle import settle
from resonate_sdk.protocol import limits, responses
from resonate_sdk.protocol.records import PromiseRecord
from resonate_sdk.protocol.requests import CreateAction, SettleAction, TaskFence, create_fault
from resonate_sdk.protocol.responses import Answer, Fenced, InnerAnswer, InnerHead, PromiseData


def task_fence(request: TaskFence) -> Operation:
    """Carry out the action in the same step as the check of the version.

    The outer status is about the fence, the inner one about the action.
    """
    action = request.action
    inner_id = action.data.id
    settling = (inner_id,) if isinstance(action, SettleAction) else ()
    preload = (request.id,) if request.preload else ()
    ids = (request.id, inner_id)
    state: WorkingState = yield Load(ids=ids, settling=settling, preload=preload)
    held = rules.held(state, request.id, request.version)
    if isinstance(held, Answer):
        return (yield Commit(held))
    promise, task = held
    more = rules.lacking(state, promise) if request.preload else None
    if more is not None:
        yield more

    inner = _act(state, action)
    used = state.promise(inner_id)
    if inner.is_ok and used is not None:
        state.add_use(promise, used)
    if task.lease_losses:
        progressed = state.promise(request.id)
        assert progressed is not None, "a held task has a promise"
        assert progressed.task is not None, "a held task exists"
        state.put(replace(progressed, task=replace(progressed.task, lease_losses=0)))
    records, cut = rules.preload(state, promise) if request.preload else ((), False)
    return (yield Commit(_fenced(action, inner, records, cut=cut)))


def _act(state: WorkingState, action: CreateAction | SettleAction) -> Answer:
    match action:
        case SettleAction(data=data):
            return settle(state, data)
        case CreateAction(data=data):
            fault = create_fault(data, acquire=False)
            if fault is not None:
                return rules.refused(responses.MALFORMED, fault)
            return create(state, data)


def _fenced(
    action: CreateAction | SettleAction,
    inner: Answer,
    records: tuple[PromiseRecord, ...],
    *,
    cut: bool,
) -> Answer:
    assert isinstance(inner.data, PromiseData | str), inner
    head = InnerHead(
        correlation_id=action.head.correlation_id, status=inner.status, version=limits.VERSION
    )
    kind = "promise.settle" if isinstance(action, SettleAction) else "promise.create"
    answer = InnerAnswer(kind=kind, head=head, data=inner.data)
    return Answer(responses.OK, Fenced(action=answer, preload=records, preload_cut=cut))
