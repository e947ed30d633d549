"""Durable functions: ordinary-looking Python that survives crashes of everything.

Names are loaded when they are used, so that importing the wire contract loads nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resonate_sdk.client.handle import Handle as Handle
    from resonate_sdk.client.resonate import Resonate as Resonate
    from resonate_sdk.encoding.codec import Codec as Codec, Encryptor as Encryptor
    from resonate_sdk.encoding.exceptions import exception as exception
    from resonate_sdk.errors import (
        AlreadyExistsError as AlreadyExistsError,
        AlreadySettledError as AlreadySettledError,
        ApplicationError as ApplicationError,
        CanceledError as CanceledError,
        ConflictError as ConflictError,
        ContradictionError as ContradictionError,
        DecodeError as DecodeError,
        DependencyNotFoundError as DependencyNotFoundError,
        EncodeError as EncodeError,
        FunctionNotFoundError as FunctionNotFoundError,
        HandleTimeout as HandleTimeout,
        InvalidError as InvalidError,
        NondeterminismError as NondeterminismError,
        NonRetryable as NonRetryable,
        NotFoundError as NotFoundError,
        OverloadedError as OverloadedError,
        RegistrationError as RegistrationError,
        ResonateCanceledError as ResonateCanceledError,
        ResonateError as ResonateError,
        ResonateShutdownError as ResonateShutdownError,
        ResonateStoreError as ResonateStoreError,
        ResonateTimedoutError as ResonateTimedoutError,
        RetryAfter as RetryAfter,
        ShutdownError as ShutdownError,
        StoreError as StoreError,
        TimedOutError as TimedOutError,
        TransportError as TransportError,
        UsageError as UsageError,
    )
    from resonate_sdk.functions.combinators import Settled as Settled, Won as Won
    from resonate_sdk.functions.context import (
        Context as Context,
        current as current,
        current_or_none as current_or_none,
    )
    from resonate_sdk.functions.function import Function as Function
    from resonate_sdk.functions.ops import (
        Call as Call,
        Invocation as Invocation,
        Op as Op,
        Promise as Promise,
        Workflow as Workflow,
        Yieldable as Yieldable,
    )
    from resonate_sdk.functions.registry import Registry as Registry
    from resonate_sdk.functions.scope import Info as Info
    from resonate_sdk.hooks import Happening as Happening
    from resonate_sdk.local import LocalServer as LocalServer
    from resonate_sdk.retry import (
        Constant as Constant,
        Exponential as Exponential,
        Linear as Linear,
        Never as Never,
        RetryPolicy as RetryPolicy,
    )
    from resonate_sdk.stores.remote import RemoteStore as RemoteStore
    from resonate_sdk.targets import poll as poll
    from resonate_sdk.task_sources.amqp import Amqp as Amqp
    from resonate_sdk.task_sources.poller import Poller as Poller

_HOMES = {
    "resonate_sdk.functions.combinators": ("Settled", "Won"),
    "resonate_sdk.functions.context": ("Context", "current", "current_or_none"),
    "resonate_sdk.functions.scope": ("Info",),
    "resonate_sdk.errors": (
        "AlreadyExistsError",
        "AlreadySettledError",
        "ApplicationError",
        "CanceledError",
        "ConflictError",
        "ContradictionError",
        "DecodeError",
        "DependencyNotFoundError",
        "EncodeError",
        "FunctionNotFoundError",
        "HandleTimeout",
        "InvalidError",
        "NondeterminismError",
        "NonRetryable",
        "NotFoundError",
        "OverloadedError",
        "RegistrationError",
        "ResonateError",
        "ResonateCanceledError",
        "ResonateShutdownError",
        "ResonateStoreError",
        "ResonateTimedoutError",
        "RetryAfter",
        "ShutdownError",
        "StoreError",
        "TimedOutError",
        "TransportError",
        "UsageError",
    ),
    "resonate_sdk.encoding.codec": ("Codec", "Encryptor"),
    "resonate_sdk.encoding.exceptions": ("exception",),
    "resonate_sdk.functions.function": ("Function",),
    "resonate_sdk.client.handle": ("Handle",),
    "resonate_sdk.hooks": ("Happening",),
    "resonate_sdk.local": ("LocalServer",),
    "resonate_sdk.functions.ops": ("Call", "Invocation", "Op", "Promise", "Workflow", "Yieldable"),
    "resonate_sdk.functions.registry": ("Registry",),
    "resonate_sdk.client.resonate": ("Resonate",),
    "resonate_sdk.retry": ("Constant", "Exponential", "Linear", "Never", "RetryPolicy"),
    "resonate_sdk.stores.remote": ("RemoteStore",),
    "resonate_sdk.targets": ("poll",),
    "resonate_sdk.task_sources.amqp": ("Amqp",),
    "resonate_sdk.task_sources.poller": ("Poller",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]  # one list, in _HOMES


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
