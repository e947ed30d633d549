"""The first argument of durable functions, under the names that programs import."""

from resonate_sdk.functions.context import Context, current, current_or_none
from resonate_sdk.functions.scope import Info

__all__ = ["Context", "Info", "current", "current_or_none"]
