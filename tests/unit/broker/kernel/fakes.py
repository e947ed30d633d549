"""A peer for the kernel that does what a test tells it to, and operations small enough to see."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from resonate_broker.kernel.chains import Chain
from resonate_broker.kernel.coroutine import Body, Operation
from resonate_broker.kernel.entries import CQE, SQE, AioCQE, AioSQE, Completed, Submitted
from resonate_broker.kernel.recording import Recorder
from resonate_broker.kernel.submissions import (
    AioCompletion,
    Begin,
    Commit,
    Load,
    Outgoing,
    StoreFailed,
    Write,
    Written,
)
from resonate_broker.kernel.system import SWEEP, Limits, System
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol.requests import Request
from resonate_sdk.protocol.responses import OK, Answer, Nothing
from resonate_store.state import Changes, Loaded, LoadSet, Promise
from tests.unit.broker.builders import NOW, make_promise

T = TypeVar("T")


class ScriptedAIO:
    """Keeps what the kernel submits until a test completes it."""

    def __init__(self) -> None:
        self.capacity = 1_000
        self.open: list[AioSQE] = []
        self._completed: list[AioCQE] = []

    def try_submit(self, sqe: AioSQE) -> bool:
        if len(self.open) >= self.capacity:
            return False
        self.open.append(sqe)
        return True

    def flush(self) -> None:
        pass

    def completions(self, count_max: int) -> Sequence[AioCQE]:
        taken, self._completed = self._completed[:count_max], self._completed[count_max:]
        return taken

    def find(self, kind: type[T]) -> T:
        """The only open submission of a kind."""
        (found,) = (s.submission for s in self.open if isinstance(s.submission, kind))
        return found

    def has(self, kind: type[Any]) -> bool:
        return any(isinstance(sqe.submission, kind) for sqe in self.open)

    def complete(self, submission: object, completion: AioCompletion) -> None:
        (sqe,) = (sqe for sqe in self.open if sqe.submission is submission)
        self.open.remove(sqe)
        self._completed.append(CQE(completion, sqe.callback))


class NoDispatch:
    """Sends nothing, and notes what it is told."""

    def __init__(self) -> None:
        self.decided_count = 0
        self.handed: list[Outgoing] = []

    def decided(self, state: WorkingState) -> None:
        self.decided_count += 1
        state.take_changed()

    def committed(self, outgoing: Sequence[Outgoing]) -> None:
        self.handed.extend(outgoing)


class Item(Request, frozen=True, kw_only=True):
    """A request of these tests: what it does is said by its kind."""

    id: str


class Put(Item, frozen=True, kw_only=True):
    kind: ClassVar[str] = "put"


class Refuse(Item, frozen=True, kw_only=True):
    kind: ClassVar[str] = "refuse"


class Malformed(Item, frozen=True, kw_only=True):
    kind: ClassVar[str] = "malformed"


class Crash(Item, frozen=True, kw_only=True):
    kind: ClassVar[str] = "crash"


def put(request: Put) -> Operation:
    """Create a promise; 409 if it exists."""
    state: WorkingState = yield Load(ids=(request.id,))
    if state.promise(request.id) is not None:
        return (yield Commit(Answer(409, f"{request.id!r} exists")))
    state.put(make_promise(request.id, created_at_ms=state.now_ms))
    return (yield Commit(Answer(OK, Nothing())))


def refuse(request: Refuse) -> Operation:
    """Answer 409 after a look."""
    yield Load(ids=(request.id,))
    return (yield Commit(Answer(409, "no")))


def malformed(request: Malformed) -> Operation:
    """Answer 400 without a look."""
    return Answer(400, f"{request.id!r} is malformed")
    yield


def crash(request: Crash) -> Operation:
    """Raise after a look."""
    state: WorkingState = yield Load(ids=(request.id,))
    state.put(make_promise(request.id))
    raise ZeroDivisionError("a bug")


class Bench:
    """A kernel, its scripted peer and the answers that it gave, in order."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        aio: ScriptedAIO | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.aio = aio or ScriptedAIO()
        self.dispatch = NoDispatch()
        self.told: list[tuple[Outgoing, ...]] = []
        self.system = System(self.aio, self.dispatch, self._forget, limits, recorder=recorder)
        for operation in (put, refuse, malformed, crash):
            self.system.add_on_request(operation.__name__, operation)
        self.answers: list[tuple[str, Completed]] = []
        self.now_ms = NOW

    def _forget(self, told: tuple[Outgoing, ...]) -> Body:
        state: WorkingState = yield Load()
        state.forget(told)
        self.told.append(told)
        yield Commit()

    def submit(
        self,
        *requests: Item,
        chain: Chain | None = None,
        solitary: int | None = None,
        urgent: bool = False,
    ) -> bool:
        """Submit requests one after the other; whether the last one was taken."""
        taken = False
        for request in requests:
            submitted = Submitted(request, chain.link() if chain else None, solitary)
            taken = self.system.submit(SQE(submitted, self._answered(request)), urgent=urgent)
        return taken

    def _answered(self, request: Item) -> Callable[[Completed], None]:
        def answered(completed: Completed) -> None:
            self.answers.append((request.id, completed))

        return answered

    def tick(self, advance_ms: int = 0) -> None:
        self.now_ms += advance_ms
        self.system.tick(self.now_ms)

    @property
    def statuses(self) -> list[tuple[str, int]]:
        """Who has been answered what, in order."""
        return [(id, completed.answer.status) for id, completed in self.answers]

    @property
    def load(self) -> LoadSet:
        """What the open transaction wants to load."""
        return self.aio.find(Begin).load

    @property
    def changes(self) -> Changes:
        """What the open transaction wants to write."""
        return self.aio.find(Write).changes

    def loaded(self, *promises: Promise, store_ms: int | None = None) -> None:
        """The store has found these rows; the kernel ticks."""
        now_ms = self.now_ms if store_ms is None else store_ms
        self.aio.complete(self.aio.find(Begin), Loaded(now_ms=now_ms, promises=promises))
        self.tick()

    def written(self) -> None:
        """The store has written; the kernel ticks."""
        self.aio.complete(self.aio.find(Write), Written())
        self.tick()

    def failed(self, outcome: Any, submission: type[Begin | Write] = Write) -> None:
        """The store could not do it; the kernel ticks."""
        self.aio.complete(self.aio.find(submission), StoreFailed(outcome, "the store says so"))
        self.tick()

    def commit(self, *promises: Promise) -> None:
        """One whole transaction."""
        self.loaded(*promises)
        self.written()

    def add_sweep(self, body: Callable[[], Body], interval_ms: int = 1_000) -> None:
        self.system.add_background(SWEEP, body, interval_ms)


def created(changes: Changes) -> tuple[str, ...]:
    """The ids that a write creates."""
    return tuple(promise.id for promise in changes.created)
