"""What all views of one context share: who it is, what it may use, how far it has counted."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from resonate_sdk.errors import UsageError
from resonate_sdk.functions.ops import Command, Op
from resonate_sdk.functions.registry import Registry

_HERE = sys.modules[__name__].__package__ or ""


class Info(Struct, frozen=True, kw_only=True):
    """What a durable function may know about its own execution.

    Attributes:
        attempt: 1 at the first attempt; counted anew after a crash of the process.
        timeout: the deadline, seconds since the epoch.
        replaying: whether the next call was recorded by an earlier run of the function.
    """

    id: str
    parent_id: str
    origin_id: str
    branch_id: str
    func: str
    version: int
    attempt: int
    timeout: float
    tags: Mapping[str, str]
    idempotency_key: str | None = None
    replaying: bool = False


class Pass(Struct):
    """What all functions of one pass share.

    Attributes:
        is_recorded: whether a promise was there when the pass began.
        is_over: whether it was given up: nothing they do has an effect any more.
        on_call: told of the id of each call where it is written; for debuggers.
    """

    is_recorded: Callable[[str], bool]
    is_over: bool = False
    on_call: Callable[[str], None] | None = None


class Scope:
    """The inside of a context, for one attempt at a function."""

    __slots__ = (
        "blocked_by",
        "children",
        "dependencies",
        "info",
        "is_closed",
        "of_pass",
        "on_made",
        "prefix",
        "registry",
        "unused",
    )

    def __init__(
        self,
        info: Info,
        prefix: str,
        registry: Registry,
        dependencies: Mapping[str | type, Any],
        of_pass: Pass,
    ) -> None:
        """Begin to count children at one.

        Args:
            info: about the execution.
            prefix: id of the very first root, after which detached executions are named.
            registry: functions by name.
            dependencies: what `get_dependency` finds.
            of_pass: what it shares with the other functions of its pass.
        """
        self.info = info
        self.prefix = prefix
        self.unused: dict[str, Command] = {}
        self.registry = registry
        self.dependencies = dependencies
        self.of_pass = of_pass
        self.children = 0
        self.is_closed = False
        self.blocked_by: str | None = None  # the promise without whose result it cannot go on
        self.on_made: Callable[[Op[Any]], None] | None = None  # where calls begin by themselves

    @property
    def is_replaying(self) -> bool:
        """Whether the next call is known already."""
        return self.of_pass.is_recorded(f"{self.info.id}.{self.children + 1}")

    @property
    def is_over(self) -> bool:
        """Whether nothing the function does has an effect any more."""
        return self.is_closed or self.of_pass.is_over

    def next_id(self) -> str:
        """The id of the next child.

        Raises:
            UsageError: the function has ended.
        """
        if self.is_closed:
            raise UsageError(f"the execution {self.info.id!r} has ended: its context is closed")
        self.children += 1
        return f"{self.info.id}.{self.children}"


def call_site() -> tuple[str, int]:
    """File and line of the user's code that called this package."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # inspect's is slower
    while frame.f_globals.get("__package__") == _HERE and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
