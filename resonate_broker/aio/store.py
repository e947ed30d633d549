"""Transactions of batches, and reads beside them."""

import asyncio
import logging
import random
from time import perf_counter

from resonate_broker.kernel.meters import Meters
from resonate_broker.kernel.submissions import (
    Adopt,
    AioCompletion,
    Failed,
    FindRetired,
    ReadDue,
    ReadDueSchedules,
    ReadGroups,
    ReadInbox,
    ReadQueued,
    ReadQueuedGroups,
    ReadSnapshot,
    RemoveTree,
    Reset,
    Search,
    SearchSchedules,
    SearchTasks,
    StoreFailed,
    StoreRead,
    Written,
)
from resonate_store.state import Changes, Loaded, LoadSet
from resonate_store.store import (
    ConflictError,
    FateUnknownError,
    RejectedError,
    Store,
    StoreError,
    Transaction,
    UnavailableError,
)

logger = logging.getLogger(__name__)

CONFLICT_RETRY_S_MIN = 0.001
CONFLICT_RETRY_S_MAX = 0.5
CONFLICT_DOUBLINGS_MAX = 20  # more change nothing; after a thousand no float holds the number
OUTAGE_RETRY_S_MIN = 0.05
OUTAGE_RETRY_S_MAX = 2.0


class StoreSubsystem:
    """Serves one transaction at a time. An outage of the database makes it wait, not fail."""

    def __init__(self, store: Store, meters: Meters) -> None:
        """Serve from a store, and count how that goes."""
        self._store = store
        self._meters = meters
        self._transaction: Transaction | None = None
        self._failures = 0  # of transactions in a row
        self._loaded_at_s = 0.0
        self._heard_at_s: float | None = None
        self._trouble: str | None = None

    def silence(self, now_s: float) -> tuple[float | None, str | None]:
        """How long the database has said nothing, None if ever, and what the last trouble was.

        Args:
            now_s: the instant, on the clock of `time.perf_counter`.
        """
        silent_s = None if self._heard_at_s is None else max(0.0, now_s - self._heard_at_s)
        return silent_s, self._trouble

    def _heard(self, since_s: float) -> float:
        """The database has answered; return how long that took."""
        self._heard_at_s, self._trouble = perf_counter(), None
        return self._heard_at_s - since_s

    async def begin(self, load: LoadSet) -> Loaded | StoreFailed:
        """Open the transaction of a batch; one that is still open is given up."""
        await self._give_up()
        await self._pause()
        retry_s = OUTAGE_RETRY_S_MIN
        told: str | None = None  # to the log, which need not hear it twice
        while True:
            began_s = perf_counter()
            try:
                self._transaction = await self._store.begin(load)
                self._meters.load_s.observe(self._heard(began_s))
                break
            except ConflictError as error:
                self._lost(error)
                return StoreFailed("aborted", str(error))
            except UnavailableError as error:
                self._trouble = str(error)
                if told is None:
                    self._meters.outages += 1
                if told != self._trouble:
                    told = self._trouble
                    logger.warning("database is away, waiting for it reason=%s", told)
                # Nothing is acknowledged meanwhile: the broker keeps the requests.
                await asyncio.sleep(random.SystemRandom().uniform(0.5, 1.0) * retry_s)
                retry_s = min(2 * retry_s, OUTAGE_RETRY_S_MAX)
            except StoreError as error:
                return StoreFailed("rejected", str(error))
        if told is not None:
            logger.info("database is back")
        self._loaded_at_s = perf_counter()
        return self._transaction.loaded

    async def write(self, changes: Changes) -> Written | StoreFailed:
        """Write and commit the open transaction."""
        transaction, self._transaction = self._transaction, None
        assert transaction is not None, "a write belongs to a transaction"
        began_s = perf_counter()
        self._meters.decide_s.observe(began_s - self._loaded_at_s)
        try:
            await transaction.commit(changes)
            self._meters.commit_s.observe(self._heard(began_s))
        except (ConflictError, UnavailableError) as error:
            await transaction.rollback()
            self._lost(error)
            return StoreFailed("aborted", str(error))
        except RejectedError as error:
            await transaction.rollback()
            return StoreFailed("rejected", str(error))
        except FateUnknownError as error:
            return StoreFailed("unknown", str(error))
        self._failures = 0
        return Written()

    async def read(self, submission: StoreRead) -> AioCompletion:
        """Read beside the batches."""
        began_s = perf_counter()
        try:
            found = await read(self._store, submission)
        except StoreError as error:
            if isinstance(error, UnavailableError):
                self._trouble = str(error)
            return Failed(str(error))
        self._meters.read_s.observe(self._heard(began_s))
        return found

    def _lost(self, error: ConflictError | UnavailableError) -> None:
        """A transaction has come to nothing, and is worth another try."""
        self._failures += 1
        if isinstance(error, ConflictError):
            self._meters.conflicts[type(error).__name__] += 1

    async def _pause(self) -> None:
        """After a failure wait a little before the next attempt, after several ever longer."""
        if self._failures:
            pause_s = random.SystemRandom().uniform(0.0, 1.0) * pause_s_max(self._failures)
            await asyncio.sleep(pause_s)

    async def _give_up(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            await transaction.rollback()


def pause_s_max(failures: int) -> float:
    """How long to wait, at most, after so many transactions in a row have come to nothing."""
    if not failures:
        return 0.0
    doublings = min(failures, CONFLICT_DOUBLINGS_MAX)
    return min(CONFLICT_RETRY_S_MIN * 2**doublings, CONFLICT_RETRY_S_MAX)


async def read(store: Store, submission: StoreRead) -> AioCompletion:
    """Let a store answer what is read beside the batches.

    Raises:
        StoreError: it cannot.
    """
    match submission:
        case ReadDue(limit=limit, at_ms=at_ms):
            return await store.due(limit, at_ms)
        case ReadDueSchedules(limit=limit, at_ms=at_ms):
            return await store.due_schedules(limit, at_ms)
        case ReadInbox(limit=limit):
            return await store.inbox(limit)
        case ReadGroups(name=name):
            return await store.groups(name)
        case Adopt(group=group):
            return await store.adopt(group)
        case ReadQueued(group=group, wanted=wanted):
            return await store.queued(group, wanted)
        case ReadQueuedGroups(limit=limit):
            return await store.queued_groups(limit)
        case Search(tags=tags, after=after, limit=limit, states=states):
            return await store.search(tags, after, limit, states)
        case SearchTasks(state=state, after=after, limit=limit):
            return await store.search_tasks(state, after, limit)
        case SearchSchedules(tags=tags, after=after, limit=limit):
            return await store.search_schedules(tags, after, limit)
        case FindRetired(position=position, settled_before_ms=settled_before_ms):
            return await store.retired(position, settled_before_ms)
        case RemoveTree(tree=tree, settled_before_ms=settled_before_ms, rows_max=rows_max):
            return await store.remove_tree(tree, settled_before_ms, rows_max)
        case ReadSnapshot():
            return await store.snapshot()
        case Reset():
            return await store.reset()
