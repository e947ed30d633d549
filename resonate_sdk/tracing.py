"""How traces cross processes: the context of a call travels in the headers of its promise.

There it survives whatever dies, so that an execution belongs to the trace of its caller wherever and
however often it is continued. This module knows no library of tracing; `resonate_sdk.otel` does.
"""

from collections.abc import Mapping
from typing import Protocol

from msgspec.structs import replace

from resonate_sdk.protocol.records import PromiseRecord, Value


class PassSpan(Protocol):
    """One run of a function, as a trace shows it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What the calls that it makes carry."""
        ...

    def enter(self) -> None:
        """Be the current span, in the context variables of the caller."""
        ...

    def end(self, state: str, error: BaseException | None) -> None:
        """It has ended: `done`, `suspended`, `failed` or `given up`."""
        ...


class Tracer(Protocol):
    """Makes spans of calls and of their executions."""

    def call(self, id: str, func: str) -> Mapping[str, str]:
        """Note that the program calls a function; return what the call carries."""
        ...

    def begin(self, promise: PromiseRecord, func: str) -> PassSpan:
        """Begin the span of a pass, which belongs to the trace of who called it."""
        ...


def with_headers(value: Value, headers: Mapping[str, str]) -> Value:
    """A value that carries a context as well."""
    return replace(value, headers={**(value.headers or {}), **headers}) if headers else value
