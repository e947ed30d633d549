"""Holds a server against the model: what it answered, and what it stores afterwards."""

import msgspec

from resonate_sdk.protocol import envelope, responses, tags
from resonate_sdk.protocol.envelope import normalize
from resonate_sdk.protocol.requests import PromiseCreate, Request, TaskAcquire, TaskCreate
from resonate_sdk.protocol.responses import Answer
from resonate_store import state as rows
from resonate_store.state import ANY, InboxRow
from tests.invariants import Stored
from tests.model.draft import rest
from tests.model.model import KINDS, step
from tests.model.state import NOBODY, Json, Promise, State, Task


class Comparison:
    """Compares one decision after the other; remembers what rows it has seen."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[rows.Promise, Promise]] = {}

    def check(
        self, request: Request, answer: Answer, before: Stored, after: Stored, now_ms: int
    ) -> None:
        """Raise if the model would have answered or stored something else."""
        if request.kind not in KINDS:
            return
        stored, result = self.state(before), self.state(after)
        data = msgspec.to_builtins(request)
        shown = shown_answer(request.kind, answer)
        expected: list[tuple[int, Json]] = []
        for is_eager in (True, False):
            wanted, status, wanted_data = step(
                stored, request.kind, data, now_ms, is_eager=is_eager
            )
            if (status, wanted_data) == shown:
                if _alike(wanted, result) or _alike(rest(wanted, now_ms), rest(result, now_ms)):
                    return
                expected.append((status, _differences(rest(wanted, now_ms), rest(result, now_ms))))
            else:
                expected.append((status, wanted_data))
        if self._has_waited(request, answer, before, stored, result, now_ms):
            return
        raise AssertionError(f"{request.kind} {data} at {now_ms}: {shown}, the model: {expected}")

    def check_call(
        self, call: InboxRow, before: Stored, after: Stored, now_ms: int, *, is_refused: bool
    ) -> None:
        """Raise if a call of an application is not what a request would have been."""
        stored, result = self.state(before), self.state(after)
        wanted, status = stored, responses.MALFORMED
        try:
            create = normalize(
                PromiseCreate(
                    id=call.id, timeout_at_ms=call.timeout_at_ms, param=call.param, tags=call.tags
                )
            )
        except ValueError:
            pass  # no address that anybody knows
        else:
            data = msgspec.to_builtins(create)
            wanted, status, _ = step(stored, "promise.create", data, now_ms, is_eager=True)
        different = _differences(rest(wanted, now_ms), rest(result, now_ms))
        assert not different, f"{call} at {now_ms}: {different}"
        assert is_refused == (status == responses.MALFORMED), f"{call} at {now_ms}: {status}"

    def _has_waited(
        self,
        request: Request,
        answer: Answer,
        before: Stored,
        stored: State,
        result: State,
        now_ms: int,
    ) -> bool:
        """Whether a task was refused because its group is limited; its promise may be made."""
        match request:
            case TaskAcquire(id=id):
                target = stored.promises[id].tags[tags.TARGET] if id in stored.promises else ""
                wanted = stored
            case TaskCreate(promise=create):
                found = stored.promises.get(create.id)
                target = (found or create).tags.get(tags.TARGET, "")
                data = msgspec.to_builtins(create)
                wanted, _, _ = step(stored, "promise.create", data, now_ms, is_eager=True)
            case _:
                return False
        is_limited = target.removeprefix(ANY) in before.groups
        is_alike = _alike(rest(wanted, now_ms), rest(result, now_ms))
        return answer.status == responses.CONFLICT and is_limited and is_alike

    def state(self, stored: Stored) -> State:
        """What is stored, as the model sees it."""
        promises: dict[str, Promise] = {}
        for id, row in stored.promises.items():
            seen = self._seen.get(id)
            if seen is None or seen[0] is not row:
                seen = self._seen[id] = (row, as_promise(row))
            promises[id] = seen[1]
        listeners = {
            id: addresses
            for id, addresses in stored.listeners.items()
            if promises[id].state == "pending"  # else it is told, as far as the protocol goes
        }
        schedules = {id: _as_schedule(row) for id, row in stored.schedules.items()}
        return State(
            promises=promises,
            schedules=schedules,
            callbacks=stored.callbacks,
            listeners=listeners,
        )


def _as_schedule(row: rows.Schedule) -> Json:
    """A row, as the model sees it."""
    shown = {
        "id": row.id,
        "cron": row.cron,
        "timezone": row.timezone,
        "overlap": row.overlap,
        "missed": row.missed,
        "promiseId": row.promise_id,
        "promiseTimeout": row.promise_timeout_ms,
        "promiseParam": msgspec.to_builtins(row.promise_param),
        "promiseTags": row.promise_tags,
        "createdAt": row.created_at_ms,
        "nextRunAt": row.next_run_at_ms,
    }
    return shown if row.last_run_at_ms is None else shown | {"lastRunAt": row.last_run_at_ms}


def as_promise(row: rows.Promise) -> Promise:
    """A row, as the model sees it."""
    task = row.task
    return Promise(
        id=row.id,
        state=row.state,
        param=msgspec.to_builtins(row.param),
        value=msgspec.to_builtins(row.value),
        tags=row.tags,
        timeout_at=row.timeout_at_ms,
        created_at=row.created_at_ms,
        settled_at=row.settled_at_ms,
        task=task
        and Task(
            state=task.state,
            version=task.version,
            resumes=frozenset(task.resumes) or NOBODY,
            pid=task.pid,
            ttl=task.lease_ms,
            expires_at=task.expires_at_ms,
        ),
    )


def shown_answer(kind: str, answer: Answer) -> tuple[int, Json]:
    """Status and data on the wire, without words and without what the specification leaves out."""
    envelope_ = msgspec.json.decode(envelope.encode_answer(kind, "c", answer))
    data = envelope_["data"]
    if isinstance(data, str):
        return answer.status, None
    data.pop("lost", None)
    data.pop("preloadCut", None)
    data.get("task", {}).pop("details", None)
    if kind == "task.fence" and isinstance(data["action"]["data"], str):
        data["action"]["data"] = None
    return answer.status, data


def _alike(one: State, other: State) -> bool:
    return (
        one.promises == other.promises
        and one.schedules == other.schedules
        and one.callbacks == other.callbacks
        and one.listeners == other.listeners
    )


def _differences(wanted: State, found: State) -> list[str]:
    different: list[str] = []
    for name in ("promises", "schedules", "callbacks", "listeners"):
        mine, yours = getattr(wanted, name), getattr(found, name)
        different += [
            f"{name} {id!r}: wanted {mine.get(id)}, found {yours.get(id)}"
            for id in sorted(mine.keys() | yours.keys())
            if mine.get(id) != yours.get(id)
        ]
    return different
