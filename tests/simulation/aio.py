"""Carries out the effects of one simulated server: late, sometimes not, sometimes unnoticed."""

from collections import deque
from collections.abc import Callable, Sequence

from resonate_broker.kernel.entries import CQE, AioCQE, AioSQE
from resonate_broker.kernel.submissions import (
    Adopt,
    AioCompletion,
    AioSubmission,
    Begin,
    CreateTrigger,
    Declare,
    EndTrigger,
    Failed,
    FindRetired,
    Probe,
    Publish,
    Published,
    ReadDue,
    ReadDueSchedules,
    ReadGroups,
    ReadInbox,
    ReadQueued,
    ReadQueuedGroups,
    ReadSnapshot,
    ReadTriggers,
    RemoveTree,
    Reset,
    Search,
    SearchSchedules,
    SearchTasks,
    StoreFailed,
    Write,
    Written,
)
from resonate_store.state import Changes
from resonate_store.store import ConflictError, Store
from tests.simulation.broker import Broker
from tests.simulation.database import Database, Held
from tests.simulation.faults import Faults
from tests.simulation.observer import ObservedDispatch, Observer
from tests.simulation.requests import POISON
from tests.simulation.world import World

LOCK_WAIT_MS = 7
LOCK_WAITS_MAX = 100


class SimulatedAIO:
    """The way of one server to the database and to the broker."""

    def __init__(
        self,
        world: World,
        faults: Callable[[], Faults],
        database: Database,
        store: Store,
        broker: Broker,
        observer: Observer,
        wake: Callable[[], None],
    ) -> None:
        self._world = world
        self._faults = faults
        self._database = database
        self._store = store
        self._broker = broker
        self._observer = observer
        self._wake = wake
        self._submitted: list[AioSQE] = []
        self._completed = deque[AioCQE]()
        self._held: Held | None = None
        self._is_dead = False
        self.observed: ObservedDispatch | None = None
        self.under_way: Write | None = None

    def try_submit(self, sqe: AioSQE) -> bool:
        is_step = isinstance(sqe.submission, Begin | Write)
        if not is_step and self._world.happens(self._faults().aio_full):
            return False
        self._submitted.append(sqe)
        return True

    def flush(self) -> None:
        submitted, self._submitted = self._submitted, []
        for sqe in submitted:
            if isinstance(sqe.submission, Write):
                self.under_way = sqe.submission
            self._later(lambda sqe=sqe: self._carry_out(sqe))

    def completions(self, count_max: int) -> Sequence[AioCQE]:
        return [self._completed.popleft() for _ in range(min(count_max, len(self._completed)))]

    def __len__(self) -> int:
        """How many completions wait."""
        return len(self._completed)

    def die(self) -> None:
        """The process is gone; a commit that is on its way may arrive all the same."""
        if self.under_way is not None and self._world.happens(0.5):
            self._world.note("a commit outlives its server")
            self._commit(self.under_way.changes)
        self._is_dead = True
        if self._held is not None:
            self._database.roll_back(self._held)

    def _later(self, action: Callable[[], None]) -> None:
        def unless_dead() -> None:
            if not self._is_dead:
                action()

        self._world.after(1 + self._world.delay(self._faults().delay_ms), unless_dead)

    def _carry_out(self, sqe: AioSQE, waits: int = 0) -> None:
        if isinstance(sqe.submission, Begin):
            completion = self._begin(sqe.submission)
            if completion is None and waits < LOCK_WAITS_MAX:
                self._world.after(
                    LOCK_WAIT_MS, lambda: None if self._is_dead else self._carry_out(sqe, waits + 1)
                )
                return
            completion = completion or StoreFailed("aborted", "a lock was not to be had")
        elif isinstance(sqe.submission, Write):
            self.under_way = None
            completion = self._write(sqe.submission)
        else:
            completion = self._effect(sqe.submission)
        self._later(lambda: self._complete(sqe, completion))

    def _complete(self, sqe: AioSQE, completion: AioCompletion) -> None:
        self._completed.append(CQE(completion, sqe.callback))
        self._wake()

    def _begin(self, begin: Begin) -> AioCompletion:
        if self._held is not None:
            self._database.roll_back(self._held)
            self._held = None
        if self._world.happens(self._faults().begin_conflict):
            return StoreFailed("aborted", "a conflict")
        begun = self._database.try_begin(self._store, begin.load)
        if begun is None:
            return None
        self._held, loaded = begun
        assert self.observed is not None, "the server is complete"
        self.observed.begin()
        return loaded

    def _write(self, write: Write) -> AioCompletion:
        if any(promise.param.data == POISON for promise in write.changes.created):
            self._give_up()
            return StoreFailed("rejected", "a value that cannot be stored")
        if self._world.happens(self._faults().write_lost):
            self._give_up()
            return StoreFailed("aborted", "the connection broke")
        if self._world.happens(self._faults().commit_unknown):
            if self._world.happens(0.5):
                self._commit(write.changes)
            else:
                self._give_up()
            return StoreFailed("unknown", "the connection broke at the commit")
        return self._commit(write.changes)

    def _give_up(self) -> None:
        held, self._held = self._held, None
        assert held is not None, "a write belongs to a transaction"
        self._database.roll_back(held)

    def _commit(self, changes: Changes) -> AioCompletion:
        held, self._held = self._held, None
        assert held is not None, "a write belongs to a transaction"
        assert self.observed is not None, "the server is complete"
        if not held.is_open:
            return StoreFailed("aborted", "the database has ended the transaction")
        try:
            self._database.commit(held, changes)
        except ConflictError as error:
            return StoreFailed("aborted", str(error))
        snapshot = self._database.snapshot_now_and_then(self._store)
        now_ms = self._world.store_now_ms()
        self._observer.committed(
            changes, self.observed.decisions, self.observed.started, snapshot, now_ms
        )
        return Written()

    def _remove(self, remove: RemoveTree) -> int:
        members = self._observer.members(remove.tree)
        removed = self._database.remove_tree(self._store, remove, members)
        if removed:
            self._world.note(f"{removed} of the tree {remove.tree} are removed")
            snapshot = self._database.snapshot(self._store)
            self._observer.removed(remove.tree, remove.settled_before_ms, snapshot)
        return removed

    def _effect(self, submission: AioSubmission) -> AioCompletion:
        match submission:
            case Publish(messages=messages):
                taken = [self._broker.publish(outgoing) for outgoing in messages]
                told = [outgoing for outgoing in taken if outgoing is not None]
                self._observer.told(told)
                return Published(tuple(each for each in told if each.listener or each.is_call))
            case Declare():
                return None
            case _ if self._world.happens(self._faults().read_failed):
                return Failed("away for a moment")
            case Probe(group=group):
                return self._broker.probe(group)
            case ReadDue(limit=limit):
                return self._database.due(self._store, limit)
            case ReadQueued(group=group, wanted=wanted):
                return self._database.queued(self._store, group, wanted)
            case ReadQueuedGroups(limit=limit):
                return self._database.queued_groups(self._store, limit)
            case ReadDueSchedules(limit=limit):
                return self._database.due_schedules(self._store, limit)
            case ReadSnapshot() | Reset():
                raise AssertionError("nobody may debug here")
            case ReadInbox(limit=limit):
                return self._database.waiting(limit)
            case ReadGroups(name=name):
                return self._database.groups(self._store, name)
            case Adopt(group=group):
                return None if self._database.adopt(self._store, group) else Failed("locked")
            case FindRetired(position=position, settled_before_ms=before_ms):
                return self._database.retired(self._store, position, before_ms)
            case RemoveTree():
                return self._remove(submission)
            case Search() | SearchTasks() | SearchSchedules():
                return self._database.search(self._store, submission)
            case CreateTrigger() | ReadTriggers() | EndTrigger():
                raise AssertionError("there are no other exchanges here")
            case Begin() | Write():
                raise AssertionError("carried out elsewhere")
