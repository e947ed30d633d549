"""Traces with OpenTelemetry: `pip install resonate-amqp[otel]`, then `Resonate(tracer=OpenTelemetry())`.

A call is a span of who makes it, and each pass of its function a span below that, in whichever process
it runs. The W3C headers `traceparent` and `tracestate` travel with the promise.
"""

from collections.abc import Mapping
from contextvars import Token

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import PromiseRecord

SCOPE = "resonate_sdk"
SYSTEM = "rabbitmq"

_PROPAGATOR = TraceContextTextMapPropagator()


class OpenTelemetry:
    """The tracer of a client: `Resonate(tracer=OpenTelemetry())`."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """Make spans with a provider; by default with that of the program."""
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=provider)

    def call(self, id: str, func: str) -> Mapping[str, str]:
        """Note that the program calls a function; return what the call carries."""
        attributes = {
            "messaging.system": SYSTEM,
            "messaging.operation.type": "send",
            "resonate.promise.id": id,
            "resonate.function": func,
        }
        span = self._tracer.start_span(
            f"call {func}", kind=SpanKind.PRODUCER, attributes=attributes
        )
        span.end()
        return _headers(trace.set_span_in_context(span))

    def begin(self, promise: PromiseRecord, func: str) -> "ExecutionSpan":
        """Begin the span of a pass, which belongs to the trace of who called it."""
        attributes = {
            "messaging.system": SYSTEM,
            "messaging.operation.type": "process",
            "resonate.promise.id": promise.id,
            "resonate.origin.id": promise.tags.get(tags.ORIGIN, promise.id),
            "resonate.function": func,
        }
        span = self._tracer.start_span(
            f"execute {func}",
            # Never below what happens to be current on the thread that a worker uses.
            context=_PROPAGATOR.extract(promise.param.headers or {}, context=Context()),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
        )
        return ExecutionSpan(span)


class ExecutionSpan:
    """One pass of a function."""

    def __init__(self, span: Span) -> None:
        """Made by `OpenTelemetry.begin`."""
        self._span = span
        self._context = trace.set_span_in_context(span)
        self.headers = _headers(self._context)

    def enter(self) -> None:
        """Be the current span, in the context variables of the caller."""
        _: Token[Context] = context.attach(self._context)  # the variables end with the pass

    def end(self, state: str, error: BaseException | None) -> None:
        """It has ended: `done`, `suspended`, `failed` or `given up`."""
        self._span.set_attribute("resonate.pass.state", state)
        if error is not None:
            self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, str(error)))
        self._span.end()


def _headers(of: Context) -> Mapping[str, str]:
    headers = dict[str, str]()
    _PROPAGATOR.inject(headers, context=of)
    return headers
