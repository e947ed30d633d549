"""Spans of requests that belong to somebody's trace, by OpenTelemetry, which is an extra."""

import os
from collections.abc import Mapping
from time import monotonic_ns, time_ns

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from resonate_broker.integration.invocation import Invoke
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import PromiseCreate, Request, TaskCreate, TaskFence
from resonate_sdk.protocol.responses import Answer

SCOPE = "resonate_broker"
SERVICE = "resonate-server"
SERVICE_VARIABLE = "OTEL_SERVICE_NAME"
EXPORT_S_MAX = 2  # of one export, and with that of the end of the server

_PROPAGATOR = TraceContextTextMapPropagator()


def provider() -> TracerProvider:
    """Spans for an OTLP collector, as `OTEL_EXPORTER_OTLP_ENDPOINT` and the like describe it.

    A thread of its own sends them; those that it cannot send in time are dropped.
    """
    named = {} if SERVICE_VARIABLE in os.environ else {SERVICE_NAME: SERVICE}
    made = TracerProvider(resource=Resource.create(named))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_S_MAX)))
    return made


class RequestSpans:
    """Makes a span of each request that starts something for somebody who is traced."""

    def __init__(self, provider: TracerProvider) -> None:
        """Make spans with a provider."""
        self._provider = provider
        self._tracer = provider.get_tracer(SCOPE)

    def answered(self, request: Request, answer: Answer, arrived_ns: int) -> None:
        """A request has been answered.

        Args:
            request: what was asked.
            answer: what came of it.
            arrived_ns: when it came, on the clock of `time.monotonic_ns`.
        """
        id, headers = _created(request)
        if not headers:
            return
        now_ns = time_ns()
        span = self._tracer.start_span(
            request.kind,
            context=_PROPAGATOR.extract(headers, context=Context()),
            kind=SpanKind.SERVER,
            attributes={"resonate.promise.id": id, "resonate.status": answer.status},
            start_time=now_ns - (monotonic_ns() - arrived_ns),
        )
        if answer.status >= responses.INTERNAL:
            span.set_status(Status(StatusCode.ERROR, str(answer.data)))
        span.end(now_ns)

    def close(self) -> None:
        """Send what has ended, for a bounded time; blocks."""
        self._provider.shutdown()


def _created(request: Request) -> tuple[str, Mapping[str, str] | None]:
    """Which promise a request creates, if it does, and what travels with it."""
    match request:
        case Invoke(id=id, call=param) | PromiseCreate(id=id, param=param):
            return id, param.headers
        case TaskCreate():
            return request.promise.id, request.promise.param.headers
        case TaskFence(action=action) if isinstance(action.data, PromiseCreate):
            return action.data.id, action.data.param.headers
        case _:
            return "", None
