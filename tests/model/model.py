"""The protocol as one pure function: (state, kind, data, now) to (state, status, data).

Written from the specification alone, as a second opinion. The data is that of a well-formed
request after the normalisation at the edge; an error has no data here, since its words are free.
"""

import re
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tests.model.calendar import next_minute
from tests.model.draft import Draft
from tests.model.state import NOBODY, Json, Promise, State, Task

Result = tuple[int, Json]
OK, REDIRECT, MALFORMED, MISSING, CONFLICT, UNFIT = 200, 300, 400, 404, 409, 422
_ADDRESS = re.compile(
    r"(amqp|poll)://(any@[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})?|uni@[A-Za-z0-9_-]{1,64}/[A-Za-z0-9_-]{1,64})"
    r"|amqp-exchange://[^/]*/.+"
)


def step(
    state: State,
    kind: str,
    data: Json,
    now: int,
    *,
    is_eager: bool = True,
    is_strict: bool = False,
) -> tuple[State, int, Json]:
    """Carry out one request.

    Args:
        state: what is before it.
        kind: of the request.
        data: of the request.
        now: the instant of it.
        is_eager: whether a settlement wakes awaiters itself: the specification leaves that open.
        is_strict: whether preloads are branches and nothing more.
    """
    draft = Draft(state, now, is_eager=is_eager, is_strict=is_strict)
    status, answer = KINDS[kind](draft, data)
    return draft.state(), status, answer


def _promise(promise: Promise) -> Result:
    return OK, {"promise": promise.shown()}


def promise_get(draft: Draft, data: Json) -> Result:
    promise = draft.look(data["id"])
    return (MISSING, None) if promise is None else _promise(promise)


def _is_malformed(data: Json, *, is_acquired: bool) -> bool:
    """What §2a.4 says about tags that belong together."""
    tags, delay = data["tags"], data["tags"].get("resonate:delay")
    target = tags.get("resonate:target")
    if target is None:
        return is_acquired or delay is not None
    if tags.get("resonate:timer") == "true" or not _ADDRESS.fullmatch(target):
        return True
    if delay is None:
        return False
    is_number = delay.isascii() and delay.isdigit()
    return is_acquired or not is_number or int(delay) >= data["timeoutAt"]


def _create(draft: Draft, data: Json) -> Promise:
    """Bring a promise into the world; one whose deadline has passed is born settled."""
    deadline = data["timeoutAt"]
    is_live = deadline > draft.now
    task = None
    if "resonate:target" in data["tags"]:
        task = Task(state="pending" if is_live else "fulfilled", version=0)
    promise = Promise(
        id=data["id"],
        state="pending",
        param=data["param"],
        value={},
        tags=data["tags"],
        timeout_at=deadline,
        created_at=draft.now if is_live else deadline,
        task=task,
    )
    if not is_live:
        verdict = "resolved" if promise.is_timer else "rejected_timedout"
        promise = replace(promise, state=verdict, settled_at=deadline)
    draft.promises[promise.id] = promise
    return promise


def promise_create(draft: Draft, data: Json) -> Result:
    if _is_malformed(data, is_acquired=False):
        return MALFORMED, None
    promise, listener = draft.look(data["id"]), data.get("listener")
    promise = promise or _create(draft, data)
    if listener is not None and promise.is_external and promise.state == "pending":
        draft.listen(promise.id, listener)
    return _promise(promise)


def invoke(draft: Draft, data: Json) -> Result:
    """Ours: a plain message starts an execution, and names a queue for its result."""
    id, target, promise = data["id"], data["target"], draft.look(data["id"])
    starts = max(draft.now + data["delay_ms"], data["start_at_ms"] or 0)
    tags = dict.fromkeys(
        (f"resonate:{name}" for name in ("origin", "branch", "parent", "prefix")), id
    )
    tags |= {"resonate:target": target, "resonate:scope": "global"}
    tags |= {"resonate:fn": f"{data['func']}@{data['version']}"}
    if starts > draft.now:
        tags["resonate:delay"] = str(starts)
    if promise is None:
        deadline = data["deadline_at_ms"] or starts + data["timeout_ms"]
        create = {"id": id, "timeoutAt": deadline, "param": data["call"], "tags": tags}
        promise = _create(draft, create)
    called = promise.tags.get("resonate:fn", "").rpartition("@")[0]
    if promise.tags.get("resonate:target") != target or called not in ("", data["func"]):
        return CONFLICT, None
    if data["reply_to"] is not None and promise.state == "pending":
        queue, number = data["reply_to"]["queue"], data["reply_to"]["correlation_id"]
        draft.listen(id, f"amqp-reply://{queue}/{number}")
    return _promise(promise)


def promise_settle(draft: Draft, data: Json) -> Result:
    promise = draft.look(data["id"])
    if promise is None:
        return MISSING, None
    if promise.state == "pending":
        promise = draft.settle(promise, data["state"], data["value"])
    return _promise(promise)


def promise_register_callback(draft: Draft, data: Json) -> Result:
    awaited, awaiter = draft.look(data["awaited"]), draft.look(data["awaiter"])
    if awaited is None:
        return MISSING, None
    if awaiter is None or awaiter.task is None or not awaited.is_external:
        return UNFIT, None
    if awaited.state == awaiter.state == "pending":
        draft.await_(awaited.id, awaiter.id)
    return _promise(awaited)


def promise_register_listener(draft: Draft, data: Json) -> Result:
    awaited = draft.look(data["awaited"])
    if awaited is None:
        return MISSING, None
    if not awaited.is_external:
        return UNFIT, None
    if awaited.state == "pending":
        draft.listen(awaited.id, data["address"])
    return _promise(awaited)


def task_get(draft: Draft, data: Json) -> Result:
    promise = draft.look(data["id"])
    if promise is None or promise.task is None:
        return MISSING, None
    return OK, {"task": promise.task.shown(promise.id)}


def _acquire(draft: Draft, promise: Promise, task: Task, data: Json) -> Promise:
    acquired = Task(
        state="acquired",
        version=task.version + 1,
        pid=data["pid"],
        ttl=data["ttl"],
        expires_at=draft.now + data["ttl"],
    )
    return draft.put_task(promise, acquired)


def _granted(draft: Draft, promise: Promise, data: Json) -> Result:
    assert promise.task is not None, promise.id
    answer: dict[str, Any] = {
        "task": promise.task.shown(promise.id),
        "promise": promise.shown(),
        "preload": draft.preload(promise) if data.get("preload", True) else [],
    }
    return OK, answer


def task_create(draft: Draft, data: Json) -> Result:
    create = data["action"]["data"]
    if _is_malformed(create, is_acquired=True):
        return MALFORMED, None
    promise = draft.look(create["id"]) or _create(draft, create)
    if promise.task is None:
        return UNFIT, None
    if promise.task.state in ("acquired", "suspended", "halted"):
        return CONFLICT, None
    if promise.task.state == "pending":
        promise = _acquire(draft, promise, promise.task, data)
    return _granted(draft, promise, data)


def task_acquire(draft: Draft, data: Json) -> Result:
    promise = draft.look(data["id"])
    if promise is None or promise.task is None:
        return MISSING, None
    task = promise.task
    if (task.state, task.version) != ("pending", data["version"]):
        return CONFLICT, None
    return _granted(draft, _acquire(draft, promise, task, data), data)


def _held(draft: Draft, data: Json) -> Promise | int:
    """The promise whose task is held at this version, or the status of the refusal."""
    promise = draft.look(data["id"])
    if promise is None or promise.task is None:
        return MISSING
    if (promise.task.state, promise.task.version) != ("acquired", data["version"]):
        return CONFLICT
    return promise


def _free(task: Task, state: str) -> Task:
    return replace(task, state=state, pid=None, ttl=None, expires_at=None)


def task_release(draft: Draft, data: Json) -> Result:
    promise = _held(draft, data)
    if isinstance(promise, int):
        return promise, None
    assert promise.task is not None, promise.id
    draft.put_task(promise, _free(promise.task, "pending"))
    return OK, {}


def task_fulfill(draft: Draft, data: Json) -> Result:
    promise = _held(draft, data)
    if isinstance(promise, int):
        return promise, None
    settle = data["action"]["data"]
    return _promise(draft.settle(promise, settle["state"], settle["value"]))


def task_suspend(draft: Draft, data: Json) -> Result:
    promise = _held(draft, data)
    if isinstance(promise, int):
        return promise, None
    awaited: list[Promise] = []
    for action in data["actions"]:
        found = draft.look(action["data"]["awaited"])
        if found is None or not found.is_external:
            return UNFIT, None
        awaited.append(found)
    promise = draft.promises[promise.id]  # what was looked at may have told its task
    assert promise.task is not None, promise.id
    task = replace(promise.task, resumes=NOBODY)
    if any(other.state != "pending" for other in awaited):
        promise = draft.put_task(promise, task)
        settled = [other.shown() for other in awaited if other.state != "pending"]
        return REDIRECT, {"preload": _redirected(draft, promise, settled, data)}
    for other in awaited:
        draft.await_(other.id, promise.id)
    draft.put_task(promise, _free(task, "suspended"))
    return OK, {}


def _redirected(draft: Draft, promise: Promise, settled: list[Json], data: Json) -> list[Json]:
    """What has settled of the awaited promises, and what a replay needs besides."""
    if not data.get("preload", True):
        return settled
    relatives = draft.preload(promise)
    if draft.is_strict:
        return relatives
    shown = {other["id"]: other for other in settled}
    shown |= {relative["id"]: relative for relative in relatives}
    return list(shown.values())


def task_fence(draft: Draft, data: Json) -> Result:
    promise = _held(draft, data)
    if isinstance(promise, int):
        return promise, None
    action = data["action"]
    act = promise_create if action["kind"] == "promise.create" else promise_settle
    status, inner = act(draft, action["data"])
    head = {"status": status, "version": "2026-04-01"}
    if action["head"].get("corrId") is not None:
        head["corrId"] = action["head"]["corrId"]
    answer: dict[str, Any] = {
        "action": {"kind": action["kind"], "head": head, "data": inner},
        "preload": draft.preload(promise) if data.get("preload", True) else [],
    }
    return OK, answer


def task_heartbeat(draft: Draft, data: Json) -> Result:
    for ref in data["tasks"]:
        promise = _held(draft, ref)
        if isinstance(promise, int):
            continue
        task = promise.task
        assert task is not None, promise.id
        assert task.ttl is not None, promise.id
        if task.pid == data["pid"]:
            draft.put_task(promise, replace(task, expires_at=draft.now + task.ttl))
    return OK, {}


def task_report(draft: Draft, data: Json) -> Result:
    promise = _held(draft, data)
    return (promise, None) if isinstance(promise, int) else (OK, {})


def task_halt(draft: Draft, data: Json) -> Result:
    promise = draft.look(data["id"])
    if promise is None or promise.task is None:
        return MISSING, None
    if promise.task.state == "fulfilled":
        return CONFLICT, None
    draft.put_task(promise, _free(promise.task, "halted"))
    return OK, {}


def task_continue(draft: Draft, data: Json) -> Result:
    promise = draft.look(data["id"])
    if promise is None or promise.task is None:
        return MISSING, None
    if promise.task.state != "halted":
        return CONFLICT, None
    draft.put_task(promise, _free(promise.task, "pending"))
    return OK, {}


def schedule_get(draft: Draft, data: Json) -> Result:
    schedule = draft.schedules.get(data["id"])
    return (MISSING, None) if schedule is None else (OK, {"schedule": schedule})


def _is_malformed_schedule(data: Json) -> bool:
    tags = data["promiseTags"]
    if next_minute(data["cron"], 0) is None or data["timezone"] != "UTC":
        return True
    return _is_malformed({"tags": tags, "timeoutAt": 0}, is_acquired=False)


def schedule_create(draft: Draft, data: Json) -> Result:
    if _is_malformed_schedule(data):
        return MALFORMED, None
    if data["id"] not in draft.schedules:
        next_at = next_minute(data["cron"], draft.now)
        draft.schedules[data["id"]] = {**data, "createdAt": draft.now, "nextRunAt": next_at}
    return schedule_get(draft, data)


def schedule_delete(draft: Draft, data: Json) -> Result:
    return (MISSING, None) if draft.schedules.pop(data["id"], None) is None else (OK, {})


KINDS: dict[str, Callable[[Draft, Json], Result]] = {
    "promise.get": promise_get,
    "promise.create": promise_create,
    "promise.settle": promise_settle,
    "invoke": invoke,
    "promise.register_callback": promise_register_callback,
    "promise.register_listener": promise_register_listener,
    "task.get": task_get,
    "task.create": task_create,
    "task.acquire": task_acquire,
    "task.release": task_release,
    "task.fulfill": task_fulfill,
    "task.suspend": task_suspend,
    "task.fence": task_fence,
    "task.heartbeat": task_heartbeat,
    "task.report": task_report,
    "schedule.get": schedule_get,
    "schedule.create": schedule_create,
    "schedule.delete": schedule_delete,
    "task.halt": task_halt,
    "task.continue": task_continue,
}
