from time import monotonic_ns

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from resonate_broker.integration.invocation import read
from resonate_broker.observation.tracing import RequestSpans
from resonate_sdk.protocol.records import Value
from resonate_sdk.protocol.requests import (
    CreateAction,
    PromiseCreate,
    PromiseGet,
    Request,
    TaskCreate,
    TaskFence,
)
from resonate_sdk.protocol.responses import Answer, Nothing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
SECOND_NS = 1_000_000_000

traced = PromiseCreate(id="a", timeout_at_ms=2**50, param=Value(headers=HEADERS))
plain = PromiseCreate(id="a", timeout_at_ms=2**50)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> RequestSpans:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return RequestSpans(provider)


@pytest.mark.parametrize(
    "request_",
    [
        traced,
        TaskCreate(pid="p", lease_ms=1_000, action=CreateAction(data=traced)),
        TaskFence(id="b", version=1, action=CreateAction(data=traced)),
        read(b"[]", "a", {"resonate-func": "f", **HEADERS}, None),
    ],
    ids=lambda request: request.kind,
)
def test_what_creates_a_traced_promise_is_a_span_of_that_trace(
    request_: Request, spans: RequestSpans, exporter: InMemorySpanExporter
):
    spans.answered(request_, Answer(200, Nothing()), monotonic_ns() - SECOND_NS)

    (span,) = exporter.get_finished_spans()
    assert span.parent is not None
    assert span.attributes is not None
    assert f"{span.parent.trace_id:032x}" == TRACE
    assert (span.name, span.kind) == (request_.kind, SpanKind.SERVER)
    assert span.attributes["resonate.promise.id"] == "a"
    assert span.start_time is not None
    assert span.end_time is not None
    assert SECOND_NS <= span.end_time - span.start_time < 2 * SECOND_NS


@pytest.mark.parametrize("request_", [plain, PromiseGet(id="a")], ids=["no trace", "no creation"])
def test_everything_else_makes_no_span(
    request_: Request, spans: RequestSpans, exporter: InMemorySpanExporter
):
    spans.answered(request_, Answer(200, Nothing()), monotonic_ns())

    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(("status", "code"), [(409, StatusCode.UNSET), (503, StatusCode.ERROR)])
def test_only_what_could_not_be_carried_out_is_an_error(
    status: int, code: StatusCode, spans: RequestSpans, exporter: InMemorySpanExporter
):
    spans.answered(traced, Answer(status, "why"), monotonic_ns())

    (span,) = exporter.get_finished_spans()
    assert span.status.status_code == code
