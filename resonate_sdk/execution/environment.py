"""What the passes of one client share."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct, field

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.functions.registry import Registry
from resonate_sdk.hooks import Hooks
from resonate_sdk.retry import RetryPolicy
from resonate_sdk.tracing import Tracer

OnNondeterminism = Literal["halt", "reject", "warn"]


class Environment(Struct, frozen=True, kw_only=True):
    """What the passes of one client share.

    Attributes:
        default_target: where remote calls go that name no target.
        own_target: where those go that this process is asked first to run.
        retry_policy: for functions that were given none; None: by their kind.
        now_ms: the clock, epoch ms.
        on_nondeterminism: what follows when a function does not do what is recorded of it.
        hooks: are told what passes do.
        tracer: makes spans of calls and passes, if somebody wants them.
        on_call: told of the id of each call where it is written; for debuggers.
    """

    registry: Registry
    dependencies: Mapping[str | type, Any]
    codec: Codec
    default_target: str
    own_target: str
    retry_policy: RetryPolicy | None
    now_ms: Callable[[], int]
    on_nondeterminism: OnNondeterminism = "halt"
    hooks: Hooks = field(default_factory=Hooks)
    tracer: Tracer | None = None
    on_call: Callable[[str], None] | None = None
