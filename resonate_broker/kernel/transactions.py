"""One transaction after the other: what is gathered meanwhile becomes the next batch.

Nothing of a batch leaves the kernel before it is durable. One that came to nothing runs again,
without the member that spoiled it if there is one, until its time is up.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence

from resonate_broker.kernel.batch import Again, Batch, Crashed, Decided, Dispatcher, Member
from resonate_broker.kernel.clock import StoreClock
from resonate_broker.kernel.meters import Meters
from resonate_broker.kernel.recording import Recorder, Run
from resonate_broker.kernel.submissions import (
    AioCompletion,
    AioSubmission,
    Begin,
    StoreFailed,
    Write,
    Written,
)
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.responses import Answer
from resonate_store.state import Loaded

logger = logging.getLogger(__name__)


class NotStorableError(Exception):
    """The database refuses what a single request wants to write."""


class Transactions:
    """The batches of a kernel, one of which at a time is begun, decided and written."""

    def __init__(
        self,
        submit: Callable[[AioSubmission, Callable[[AioCompletion], None]], None],
        clock: StoreClock,
        dispatcher: Dispatcher,
        meters: Meters,
        *,
        size_max: int,
        retry_ms_max: int,
        recorder: Recorder | None,
        is_strict: bool,
        on_committed: Callable[[Batch], None],
    ) -> None:
        """Have nothing to do.

        Args:
            submit: has an effect carried out, and calls back with its completion.
            clock: of the kernel.
            dispatcher: sees what members change.
            meters: count what becomes of batches.
            size_max: members of a batch.
            retry_ms_max: how long a batch is tried again before its requests are answered 503.
            recorder: is told what is decided, if somebody wants to know.
            is_strict: whether a family is the branch alone, as the protocol has it.
            on_committed: called with each batch that is durable.
        """
        self._submit = submit
        self._clock = clock
        self._dispatcher = dispatcher
        self._meters = meters
        self._size_max = size_max
        self._retry_ms_max = retry_ms_max
        self._recorder = recorder
        self._is_strict = is_strict
        self._on_committed = on_committed
        self._urgent = deque[Member]()
        self._others = deque[Member]()
        self._halves = deque[Batch]()
        self._batch: Batch | None = None

    def gather(self, member: Member) -> None:
        """Let a coroutine that waits for its load take part in the next batch that has room."""
        (self._urgent if member.coroutine.is_urgent else self._others).append(member)

    def room(self, *, is_urgent: bool) -> int:
        """How many more may be gathered until the next batch is full of their kind."""
        return self._size_max - len(self._urgent if is_urgent else self._others)

    @property
    def gathered(self) -> int:
        """How many coroutines wait for a batch."""
        return len(self._urgent) + len(self._others)

    @property
    def is_open(self) -> bool:
        """Whether a transaction is under way."""
        return self._batch is not None

    @property
    def has_next(self) -> bool:
        """Whether there is a batch to begin, with all that it needs to begin."""
        return bool(self._urgent or self._others or self._halves)

    def begin(self) -> None:
        """Begin the transaction of the next batch, if there is one; none is open."""
        assert self._batch is None, "one transaction at a time"
        if self._halves:
            self._batch = self._halves.popleft()
        elif self.gathered:
            self._batch = Batch(self._take_members())
        else:
            return
        self._submit(Begin(self._batch.load()), self._begun)

    def _take_members(self) -> list[Member]:
        members: list[Member] = []
        for gathering in (self._urgent, self._others):
            while (
                gathering
                and len(members) < self._size_max
                and (not members or gathering[0].company == members[0].company)
            ):
                members.append(gathering.popleft())
        return members

    def _begun(self, completion: AioCompletion) -> None:
        batch = self._batch
        assert batch is not None, "a transaction belongs to a batch"
        match completion:
            case Loaded():
                self._decide(batch, completion)
            case StoreFailed():
                self._failed(batch, completion)
            case _:
                self._failed(batch, StoreFailed("aborted", f"{completion}"))

    def _decide(self, batch: Batch, loaded: Loaded) -> None:
        if batch.began_at_ms is None:
            batch.began_at_ms = self._clock.tick_ms
        now_ms = self._clock.last_ms if batch.now_ms is None else batch.now_ms
        match batch.decide(loaded, now_ms, self._dispatcher, is_strict=self._is_strict):
            case Decided(changes=changes):
                if self._recorder is not None:
                    self._recorder.intend(_runs(batch))
                self._submit(Write(changes), self._written)
            case Again():
                self._meters.batches["again"] += 1
                self._run_again(batch)
            case Crashed(member=member, error=error):
                self._meters.batches["crashed"] += 1
                batch.remove(member)
                member.coroutine.on_end(member.coroutine, error)
                self._run_again(batch)

    def _run_again(self, batch: Batch) -> None:
        batch.restart()
        self._submit(Begin(batch.load()), self._begun)

    def _written(self, completion: AioCompletion) -> None:
        batch = self._batch
        assert batch is not None, "a transaction belongs to a batch"
        match completion:
            case Written():
                if self._recorder is not None:
                    self._recorder.end("committed")
                self._batch = None
                self._on_committed(batch)
            case StoreFailed():
                self._failed(batch, completion)
            case _:
                self._failed(batch, StoreFailed("aborted", f"{completion}"))

    def _failed(self, batch: Batch, failed: StoreFailed) -> None:
        """Nothing of the batch has left the kernel: run it again, or say that it failed."""
        if self._recorder is not None:
            self._recorder.end("unknown" if failed.outcome == "unknown" else "aborted")
        self._meters.batches[failed.outcome] += 1
        batch.restart()
        if batch.began_at_ms is None:
            batch.began_at_ms = self._clock.tick_ms
        is_late = self._clock.tick_ms - batch.began_at_ms >= self._retry_ms_max
        if failed.outcome == "aborted" and not is_late:
            self._submit(Begin(batch.load()), self._begun)
            return
        self._batch = None
        if failed.outcome == "rejected" and len(batch.members) > 1:
            self._halves.extendleft(reversed(batch.halves()))
            return
        if failed.outcome != "rejected":  # else it is the error of the only member, told as such
            logger.error("batch failed outcome=%s reason=%s", failed.outcome, failed.reason)
        for member in batch.members:
            _give_up(member, failed)


def _runs(batch: Batch) -> Sequence[Run]:
    """What a batch that has decided is about to answer."""
    runs: list[Run] = []
    for member in batch.members:
        submitted = member.submitted
        caller = None if submitted is None else submitted.caller
        if submitted is not None and caller is not None and member.answer is not None:
            runs.append(Run(submitted.request, caller, member.answer, batch.state.now_ms))
    return runs


def _give_up(member: Member, failed: StoreFailed) -> None:
    """End a member whose batch is not tried again."""
    coroutine = member.coroutine
    if failed.outcome == "rejected":
        coroutine.close()
        coroutine.on_end(coroutine, NotStorableError(failed.reason))
        return
    coroutine.finish(None if member.submitted is None else _failure(failed))
    coroutine.on_end(coroutine, None)


def _failure(failed: StoreFailed) -> Answer:
    if failed.outcome == "unknown":
        return Answer(responses.INTERNAL, f"Internal error: fate unknown: {failed.reason}")
    return Answer(responses.UNAVAILABLE, f"not carried out, ask again: {failed.reason}")
