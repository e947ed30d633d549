"""Invariants 97 to 104: what answers say, and what a refusal must not do."""

from collections.abc import Iterable, Iterator

from resonate_sdk.protocol import responses
from resonate_sdk.protocol.records import PromiseRecord, TaskRecord
from resonate_sdk.protocol.requests import (
    Request,
    TaskAcquire,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskRelease,
    TaskSuspend,
)
from resonate_sdk.protocol.responses import (
    Answer,
    Fenced,
    PromiseData,
    PromisePage,
    Redirected,
    TaskData,
    TaskGranted,
)
from tests.invariants.internal_steps import internal_faults
from tests.invariants.stored import Step

REFUSALS = (
    responses.MALFORMED,
    responses.NOT_FOUND,
    responses.CONFLICT,
    responses.UNPROCESSABLE,
    responses.REDIRECT,
)
HELD = TaskFence | TaskFulfill | TaskRelease | TaskSuspend


def answer_faults(step: Step, answer: Answer) -> Iterator[str]:
    """What an answer says that was not true when it was decided (97)."""
    for record in _promises(answer):
        if record.state == "pending" and record.timeout_at_ms <= step.now_ms:
            yield f"{record} is not projected at {step.now_ms}"


def refusal_faults(step: Step, request: Request, answer: Answer) -> Iterator[str]:
    """What a refused request has changed, apart from deadlines that it noticed (98, 99, 103).

    A task that its group has no place for is not granted, but its promise is made.
    """
    if answer.status not in REFUSALS:
        return
    created = (request.promise.id,) if isinstance(request, TaskCreate) else ()
    yield from (f"{answer.status}: {fault}" for fault in internal_faults(step, created))
    for before, after in step.changed:
        was, task = before.task, after.task
        if was is not None and task is not None and was.state == task.state == "acquired":
            if (was.pid, was.expires_at_ms) != (task.pid, task.expires_at_ms):
                yield f"{answer.status}: the lease of {after.id} has changed"
        if step.after.awaiters(after.id) - step.before.awaiters(after.id):
            yield f"{answer.status}: {after.id} has a new callback"
        if step.after.addresses(after.id) - step.before.addresses(after.id):
            yield f"{answer.status}: {after.id} has a new listener"


class Seen:
    """What clients have been answered, and what must therefore never be answered any more.

    Instants here count questions and answers: one that was asked after another was answered comes
    later, whatever clocks say. What retention removes may begin anew with all its versions.
    """

    def __init__(self) -> None:
        self._instant = 0
        self._settled: dict[str, tuple[int, PromiseRecord]] = {}
        self._versions: dict[str, tuple[int, int]] = {}
        self._granted = set[tuple[str, int]]()
        self._removed: dict[str, int] = {}

    def removed(self, ids: Iterable[str]) -> None:
        """These are gone: what was asked before tells nothing about what comes after."""
        self._instant += 1
        for id in ids:
            self._removed[id] = self._instant
            self._settled.pop(id, None)
            self._versions.pop(id, None)
            self._granted = {grant for grant in self._granted if grant[0] != id}

    def _is_outdated(self, asked_at: int, id: str) -> bool:
        return asked_at < self._removed.get(id, 0)

    def asked(self) -> int:
        """A request leaves its sender; returns when."""
        self._instant += 1
        return self._instant

    def answered(self, asked_at: int, request: Request, answer: Answer) -> None:
        """An answer has come; raise if it contradicts what anybody has been told before."""
        self._instant += 1
        for record in _promises(answer):
            self._check_promise(asked_at, record)
        if isinstance(answer.data, TaskData | TaskGranted):
            self._check_task(asked_at, answer.data.task)
        if isinstance(request, TaskAcquire | TaskCreate) and isinstance(answer.data, TaskGranted):
            self._check_grant(asked_at, answer.data.task)
        if isinstance(request, HELD) and answer.is_ok:
            seen = self._versions.get(request.id)
            assert seen is None or seen[0] > asked_at or seen[1] <= request.version, (
                f"101: {request} succeeded although version {seen[1]} was granted before"
            )

    def _check_promise(self, asked_at: int, record: PromiseRecord) -> None:
        if self._is_outdated(asked_at, record.id):
            return
        seen = self._settled.get(record.id)
        if record.state == "pending":
            assert seen is None or seen[0] > asked_at, f"97: {record} was seen settled: {seen}"
        else:
            assert seen is None or seen[1] == record, f"102: {record} was seen as {seen}"
            self._settled.setdefault(record.id, (self._instant, record))

    def _check_task(self, asked_at: int, task: TaskRecord) -> None:
        if self._is_outdated(asked_at, task.id):
            return
        seen = self._versions.get(task.id)
        assert seen is None or seen[0] > asked_at or seen[1] <= task.version, (
            f"50: {task} was seen at version {seen[1]}"
        )
        if seen is None or seen[1] < task.version:
            self._versions[task.id] = (self._instant, task.version)

    def _check_grant(self, asked_at: int, task: TaskRecord) -> None:
        if task.state != "acquired" or self._is_outdated(asked_at, task.id):
            return
        grant = (task.id, task.version)
        assert grant not in self._granted, f"100: {task} was granted twice"
        self._granted.add(grant)


def _promises(answer: Answer) -> tuple[PromiseRecord, ...]:
    match answer.data:
        case PromiseData(promise=promise):
            return (promise,)
        case PromisePage(promises=promises):
            return promises
        case TaskGranted(promise=promise, preload=preload):
            return (promise, *preload)
        case Fenced(action=action, preload=preload):
            inner = action.data
            return preload if isinstance(inner, str) else (inner.promise, *preload)
        case Redirected(preload=preload):
            return preload
        case _:
            return ()
