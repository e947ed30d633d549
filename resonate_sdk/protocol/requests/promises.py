"""Requests about promises."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import UNSET, UnsetType, field

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import EMPTY, PromiseState, SettleState, Value
from resonate_sdk.protocol.requests.base import Id, Instant, PageSize, Request
from resonate_sdk.protocol.requests.checks import (
    check_address,
    check_id,
    check_tags,
    check_value,
    tags_fault,
)


class PromiseGet(Request, frozen=True, kw_only=True):
    """Read one promise."""

    kind: ClassVar[str] = "promise.get"
    id: Id

    def __post_init__(self) -> None:
        check_id("id", self.id)

    def origin(self) -> str:
        return self.id


class PromiseCreate(Request, frozen=True, kw_only=True):
    """Create a promise, and with `resonate:target` its task; an existing id is left as it is.

    Attributes:
        listener: an address to notify when the promise settles, if others may wait for it; saves a
            `promise.register_listener`. Ours, beyond the protocol, and not inside other requests.
    """

    kind: ClassVar[str] = "promise.create"
    id: Id
    timeout_at_ms: Instant = field(name="timeoutAt")
    param: Value = EMPTY
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    listener: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_id("id", self.id)
        check_value("param", self.param)
        check_tags(self.tags)
        if self.listener is not UNSET:
            check_address("listener", self.listener)

    def origin(self) -> str:
        return self.id


class PromiseSettle(Request, frozen=True, kw_only=True):
    """Settle a promise; one that is settled already stays as it is."""

    kind: ClassVar[str] = "promise.settle"
    id: Id
    state: SettleState
    value: Value = EMPTY

    def __post_init__(self) -> None:
        check_id("id", self.id)
        check_value("value", self.value)

    def origin(self) -> str:
        return self.id


class PromiseRegisterCallback(Request, frozen=True, kw_only=True):
    """Wake the task `awaiter` when the promise `awaited` settles."""

    kind: ClassVar[str] = "promise.register_callback"
    awaited: Id
    awaiter: Id

    def __post_init__(self) -> None:
        check_id("awaited", self.awaited)
        check_id("awaiter", self.awaiter)
        if self.awaited == self.awaiter:
            raise ValueError(f"awaited: a promise cannot await itself: {self.awaited!r}")

    def origin(self) -> str:
        return self.awaited


class PromiseRegisterListener(Request, frozen=True, kw_only=True):
    """Notify `address` when the promise `awaited` settles."""

    kind: ClassVar[str] = "promise.register_listener"
    awaited: Id
    address: str

    def __post_init__(self) -> None:
        check_id("awaited", self.awaited)
        check_address("address", self.address)

    def origin(self) -> str:
        return self.awaited


class PromiseSearch(Request, frozen=True, kw_only=True):
    """List promises whose tags contain the given pairs, by ascending id."""

    kind: ClassVar[str] = "promise.search"
    state: PromiseState | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    limit: PageSize = limits.SEARCH_PAGE_DEFAULT
    cursor: str | None = None

    def __post_init__(self) -> None:
        check_tags(self.tags)
        if self.cursor is not None:
            check_id("cursor", self.cursor)


def create_fault(request: PromiseCreate, *, acquire: bool) -> str | None:
    """Say what makes a creation impossible, in one sentence, or None.

    These are rules about tags that belong together; inside `task.fence` they are the inner
    answer, so they are not part of decoding.

    Args:
        request: the creation.
        acquire: whether it comes with `task.create`, which runs the task at once.
    """
    return tags_fault(request.tags, request.timeout_at_ms, acquire=acquire)
