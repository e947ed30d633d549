"""Requests about the limits of worker groups."""

from typing import Annotated, ClassVar

from msgspec import Meta, field

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import Rate
from resonate_sdk.protocol.requests.base import Name, Request
from resonate_sdk.protocol.requests.checks import check_text

Places = Annotated[int, Meta(ge=0, le=limits.PLACES_MAX)]


class GroupGet(Request, frozen=True, kw_only=True):
    """Read the limits of a group, and how many executions it has.

    Attributes:
        key: a `resonate:key` of which the same is to be told.
    """

    kind: ClassVar[str] = "group.get"
    name: Name
    key: str | None = None

    def __post_init__(self) -> None:
        if self.key is not None:
            check_text("key", self.key)


class GroupSet(Request, frozen=True, kw_only=True):
    """Replace the limits of a group; what is not given is not limited.

    Attributes:
        concurrency: executions at a time; 0 stops the group.
        key_concurrency: those of them with the same `resonate:key`.
        rate: executions that start.
        key_rate: those of them with the same `resonate:key`.
    """

    kind: ClassVar[str] = "group.set"
    name: Name
    concurrency: Places | None = None
    key_concurrency: Places | None = field(name="keyConcurrency", default=None)
    rate: Rate | None = None
    key_rate: Rate | None = field(name="keyRate", default=None)


class GroupList(Request, frozen=True, kw_only=True):
    """List the groups that have limits."""

    kind: ClassVar[str] = "group.list"


class GroupWorkers(Request, frozen=True, kw_only=True):
    """List the workers that have said hello lately, of one group or of all."""

    kind: ClassVar[str] = "group.workers"
    group: Name | None = None

    def origin(self) -> str:
        return ""  # whose partition is 0, however many there are: that of every hello
