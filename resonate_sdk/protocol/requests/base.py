"""What all request kinds have in common, and the types of their fields."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from resonate_sdk.protocol import limits

Instant = Annotated[int, Meta(ge=0, le=limits.INSTANT_MS_MAX)]
Id = Annotated[str, Meta(min_length=1)]  # and see `check_id`
Name = Annotated[str, Meta(pattern=rf"^{limits.NAME_PATTERN}\Z")]
LeaseMs = Annotated[int, Meta(ge=limits.LEASE_MS_MIN, le=limits.LEASE_MS_MAX)]
Version = Annotated[int, Meta(ge=0, le=limits.INSTANT_MS_MAX)]
Count = Annotated[int, Meta(ge=0, le=limits.COUNT_MAX)]
PageSize = Annotated[int, Meta(ge=1, le=limits.SEARCH_PAGE_MAX)]


class Request(Struct, frozen=True, gc=False, kw_only=True):
    """What a client asks for; `kind` is its name on the wire."""

    kind: ClassVar[str]

    def origin(self) -> str:
        """Name the object that decides the partition, unless the sender knows better."""
        return "default"


class ActionHead(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The head of a nested action; its correlation id is echoed."""

    correlation_id: str | None = field(name="corrId", default=None)
