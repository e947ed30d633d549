"""The kernel's effects carried out at once, on the calling thread."""

from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from resonate_broker.aio.store import read
from resonate_broker.embedded.queues import MessageQueues
from resonate_broker.integration import plain
from resonate_broker.kernel.entries import CQE, AioCQE, AioSQE
from resonate_broker.kernel.submissions import (
    AioCompletion,
    AioSubmission,
    Begin,
    CreateTrigger,
    Declare,
    EndTrigger,
    Failed,
    Outgoing,
    Probe,
    Publish,
    Published,
    ReadTriggers,
    StoreFailed,
    TriggerRefused,
    Write,
    Written,
)
from resonate_store.store import ConflictError, Store, StoreError, Transaction

T = TypeVar("T")


class ImmediateAIO:
    """Serves each submission while it is being submitted: a batch takes one tick."""

    def __init__(self, store: Store, queues: MessageQueues) -> None:
        """Serve from a store whose methods never wait."""
        self._store = store
        self._queues = queues
        self._submitted = deque[AioSQE]()
        self._is_serving = False
        self._completed = deque[AioCQE]()  # that wait for a tick
        self._transaction: Transaction | None = None

    def try_submit(self, sqe: AioSQE) -> bool:
        """Take every submission, and complete it before this returns, unless it has failed.

        What a completion leads to is served behind it, not within. After a failure the kernel
        tries again for a while: time must pass meanwhile.
        """
        self._submitted.append(sqe)
        if self._is_serving:
            return True
        self._is_serving = True
        try:
            while self._submitted:
                sqe = self._submitted.popleft()
                completion = self._carry_out(sqe.submission)
                if isinstance(completion, StoreFailed):
                    self._completed.append(CQE(completion, sqe.callback))
                else:
                    sqe.callback(completion)
        finally:
            self._is_serving = False
        return True

    def flush(self) -> None:
        """Nothing waits to be carried out."""

    def completions(self, count_max: int) -> Sequence[AioCQE]:
        """Take what has failed."""
        if not self._completed:
            return ()
        return [self._completed.popleft() for _ in range(min(count_max, len(self._completed)))]

    def __len__(self) -> int:
        """How many completions wait."""
        return len(self._completed)

    def _carry_out(self, submission: AioSubmission) -> AioCompletion:
        try:
            match submission:
                case Begin(load=load):
                    self._transaction = complete(self._store.begin(load))
                    return self._transaction.loaded
                case Write(changes=changes):
                    assert self._transaction is not None, "a write belongs to a transaction"
                    complete(self._transaction.commit(changes))
                    return Written()
                case _:
                    return self._effect(submission)
        except StoreError as error:
            if not isinstance(submission, Begin | Write):
                return Failed(str(error))
            # A file that cannot be written now will not be written by trying harder.
            outcome = "aborted" if isinstance(error, ConflictError) else "rejected"
            return StoreFailed(outcome, str(error))

    def _effect(self, submission: AioSubmission) -> AioCompletion:
        match submission:
            case Probe(group=group):
                return self._queues.probe(group)
            case Publish(messages=messages):
                for outgoing in messages:
                    if not outgoing.is_call:
                        self._queues.publish(outgoing)
                told = tuple(m for m in messages if m.listener is not None)
                return Published(told + tuple(map(_refused, filter(_is_call, messages))))
            case Declare():
                return None
            case CreateTrigger():
                return TriggerRefused("a trigger needs a server with RabbitMQ, not local mode")
            case ReadTriggers():
                return ()
            case EndTrigger():
                return False
            case Begin() | Write():
                raise AssertionError("served elsewhere")
            case _:
                return complete(read(self._store, submission))


def _is_call(outgoing: Outgoing) -> bool:
    return outgoing.is_call


def _refused(call: Outgoing) -> Outgoing:
    reason = "a call of an exchange needs a server with RabbitMQ: there is none in local mode"
    return replace(call, refusal=plain.stored(plain.failure(reason)))


def complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("the embedded store does not wait")
