"""`task.suspend`: put a held task to sleep until one of the awaited promises settles."""

from msgspec.structs import replace

from resonate_broker import rules
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import TaskSuspend
from resonate_sdk.protocol.responses import Answer, Nothing, Redirected
from resonate_store.state import Promise


def task_suspend(request: TaskSuspend) -> Operation:
    """Sleep if all awaited promises are pending; if one is settled, say so and stay acquired.

    The awaited promises are under lock while this is decided, so no settlement slips between
    the look and the registration.
    """
    awaited_ids = request.awaited
    ids = (request.id, *awaited_ids)
    preload = (request.id,) if request.preload else ()
    state: WorkingState = yield Load(ids=ids, preload=preload)
    held = rules.held(state, request.id, request.version)
    if isinstance(held, Answer):
        return (yield Commit(held))
    promise, task = held

    settled: list[Promise] = []
    for id in awaited_ids:
        awaited = rules.observe(state, id)
        if awaited is None:
            return (yield Commit(_cannot_await(f"no promise {id!r}")))
        if not rules.is_external(awaited):
            return (yield Commit(_cannot_await(f"{id!r} is internal, nobody may await it")))
        if awaited.state != "pending":
            settled.append(awaited)

    if settled:
        more = rules.lacking(state, promise) if request.preload else None
        if more is not None:
            yield more
        if task.resumes:
            state.put(replace(promise, task=replace(task, resumes=())))
        return (yield Commit(_redirected(state, promise, settled, request)))

    for id in awaited_ids:
        state.add_callback(id, request.id)
    state.put(replace(promise, task=rules.suspended(task)))
    return (yield Commit(Answer(responses.OK, Nothing())))


def _cannot_await(reason: str) -> Answer:
    return rules.refused(responses.UNPROCESSABLE, reason)


def _redirected(
    state: WorkingState, promise: Promise, settled: list[Promise], request: TaskSuspend
) -> Answer:
    """Tell what has settled; the whole branch, too, if the caller wants it.

    What has settled comes first, since it may be of another tree, and whoever is not told of it
    awaits it again. Of the branch, a caller who says until when he knows it is told what is new.
    """
    shown = {} if state.is_strict else {awaited.id: awaited for awaited in settled}
    if request.preload:
        relatives = state.family(promise)
        if request.settled_since_ms is not None:
            relatives = rules.settled_since(state, relatives, request.settled_since_ms)
        shown |= {relative.id: relative for relative in relatives}
    records, cut = rules.fitting(state, shown.values())
    return Answer(responses.REDIRECT, Redirected(preload=records, preload_cut=cut))
