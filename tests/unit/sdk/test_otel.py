"""Traces over several processes of one environment, with OpenTelemetry's exporter in memory."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from resonate_sdk import Context, Never, Workflow
from resonate_sdk.otel import OpenTelemetry
from resonate_sdk.testing import Environment


class Recorder:
    """The spans that have ended, oldest first."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = OpenTelemetry(self.provider)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def only(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def env() -> Iterator[Environment]:
    with Environment() as env:
        yield env


def state(span: ReadableSpan) -> object:
    assert span.attributes is not None
    return span.attributes["resonate.pass.state"]


def identity(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def is_below(child: ReadableSpan, parent: ReadableSpan) -> bool:
    assert child.parent is not None
    return child.parent.span_id == identity(parent).span_id


def charge(ctx: Context, cents: int) -> str:
    with trace.get_tracer("app").start_as_current_span("pay"):
        return f"{cents} cents"


def order(ctx: Context) -> Workflow[str]:
    return (yield ctx.rpc("charge", 500).options(target="payments"))


def test_a_trace_goes_from_the_caller_through_all_executions(env: Environment, recorder: Recorder):
    env.worker("shop", register=[order], tracer=recorder.tracer)
    env.worker("payments", register=[charge], tracer=recorder.tracer)
    client = env.client("caller", tracer=recorder.tracer).options(target="shop")

    with recorder.provider.get_tracer("app").start_as_current_span("request"):
        handle = client.begin_rpc("order-1", order)
    assert handle.result() == "500 cents"

    request, call = recorder.only("request"), recorder.only("call order")
    first, last = recorder.named("execute order")
    charged = recorder.only("execute charge")
    assert is_below(call, request)
    assert call.kind == SpanKind.PRODUCER
    assert [is_below(span, call) for span in (first, last)] == [True, True]
    assert is_below(charged, first)
    assert (state(first), state(charged), state(last)) == ("suspended", "done", "done")
    assert {identity(span).trace_id for span in recorder.spans} == {identity(request).trace_id}


def test_spans_of_a_function_are_below_that_of_its_pass(env: Environment, recorder: Recorder):
    def outer(ctx: Context) -> Workflow[str]:
        with recorder.provider.get_tracer("app").start_as_current_span("prepare"):
            pass
        return (yield ctx.run(inner))

    def inner(ctx: Context) -> str:
        with recorder.provider.get_tracer("app").start_as_current_span("work"):
            return "done"

    env.worker(register=[outer], tracer=recorder.tracer)
    env.client("caller").options(target="default").begin_rpc("a", outer).result()

    execution = recorder.only("execute outer")
    assert is_below(recorder.only("prepare"), execution)
    assert is_below(recorder.only("work"), execution)
    assert execution.parent is None  # its caller has no tracer


def test_what_goes_on_after_a_crash_belongs_to_the_same_trace(env: Environment, recorder: Recorder):
    def patient(ctx: Context) -> Workflow[str]:
        yield ctx.sleep(60)
        return "rested"

    worker = env.worker(register=[patient], tracer=recorder.tracer)
    client = env.client("caller", tracer=recorder.tracer).options(target="default")
    handle = client.begin_rpc("a", patient)
    env.run_until_idle()
    env.crash(worker)
    env.restart(worker)
    assert handle.result() == "rested"

    call, passes = recorder.only("call patient"), recorder.named("execute patient")
    assert [state(span) for span in passes] == ["suspended", "done"]
    assert all(is_below(span, call) for span in passes)


def test_an_error_is_that_of_the_span(env: Environment, recorder: Recorder):
    def fail(ctx: Context) -> None:
        raise ValueError("no stock")

    env.worker(register=[fail], tracer=recorder.tracer, retry_policy=Never())
    handle = env.client("caller").options(target="default").begin_rpc("a", fail)
    with pytest.raises(ValueError, match="no stock"):
        handle.result()

    span = recorder.only("execute fail")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "no stock")
    assert state(span) == "done"
    assert [event.name for event in span.events] == ["exception"]


def test_without_a_tracer_no_promise_carries_a_header(env: Environment):
    env.worker("shop", register=[order])
    env.worker("payments", register=[charge])
    client = env.client("caller").options(target="shop")

    client.begin_rpc("order-1", order).result()

    history = env.history("order-1")
    assert len(history.promises) > 0
    assert all(not promise.param.headers for promise in (history.root, *history.promises))


def test_other_arguments_for_a_used_id_are_told_of_although_calls_carry_headers(
    env: Environment, recorder: Recorder, caplog: pytest.LogCaptureFixture
):
    env.worker(register=[charge], tracer=recorder.tracer)
    client = env.client("caller", tracer=recorder.tracer).options(target="default")
    client.begin_rpc("a", charge, 1).result()

    client.begin_rpc("a", charge, 2).result()

    assert "with other arguments" in caplog.text
