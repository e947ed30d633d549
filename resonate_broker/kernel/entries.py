"""Entries of the queues: what somebody asks for, and what became of it."""

from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct

from resonate_broker.kernel.chains import Link
from resonate_broker.kernel.recording import Caller
from resonate_broker.kernel.submissions import AioCompletion, AioSubmission
from resonate_sdk.protocol.requests import Request
from resonate_sdk.protocol.responses import Answer

SubmissionT = TypeVar("SubmissionT")
CompletionT = TypeVar("CompletionT")


class SQE(Struct, Generic[SubmissionT, CompletionT], frozen=True):
    """A submission-queue entry: asks the other side for one thing.

    Attributes:
        callback: called with the completion, once, on the kernel's thread.
    """

    submission: SubmissionT
    callback: Callable[[CompletionT], None]


class CQE(Struct, Generic[CompletionT], frozen=True):
    """A completion-queue entry: answers one submission."""

    completion: CompletionT
    callback: Callable[[CompletionT], None]

    def complete(self) -> None:
        """Hand the completion to the one who asked."""
        self.callback(self.completion)


class Submitted(Struct, frozen=True):
    """A request as the API hands it in.

    Attributes:
        link: its place in the chain it is an item of.
        solitary: if not None, it shares its batch only with requests of the same number.
        now_ms: the instant at which it is decided, if not that of the store.
        caller: who asks, if that is to be recorded.
    """

    request: Request
    link: Link | None = None
    solitary: int | None = None
    now_ms: int | None = None
    caller: Caller | None = None


class Completed(Struct, frozen=True):
    """What became of a request.

    Attributes:
        now_ms: the instant it was decided at, on the clock of the store.
        crash: what our own code or the database had against it, if that is why it failed.
    """

    answer: Answer
    now_ms: int
    crash: str | None = None


RequestSQE = SQE[Submitted, Completed]
AioSQE = SQE[AioSubmission, AioCompletion]
AioCQE = CQE[AioCompletion]
