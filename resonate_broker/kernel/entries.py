"""Entries of the queues: what somebody asks for, and what became of it."""

from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct

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
