"""A server that sends its spans to a collector."""

import signal
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider

from resonate_sdk import Resonate
from resonate_sdk.otel import OpenTelemetry
from tests.acceptance.cli.programs import run_here, serving


class Collector:
    """Takes what exporters of OpenTelemetry post."""

    def __init__(self) -> None:
        self.posted: Queue[tuple[str, bytes]] = Queue()
        posted = self.posted

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # as the library calls it
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posted.put((self.path, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, args=(0.05,))
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


def test_the_creation_of_a_call_is_a_span_of_its_callers_trace(
    empty_place: Mapping[str, str], collector: Collector
):
    env = {
        **empty_place,
        "RESONATE_TRACING__ENABLED": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    }
    assert run_here("migrate", env=env).code == 0
    provider = TracerProvider()
    with serving(env) as server:
        client = Resonate.remote(
            env["RESONATE_URL"],
            namespace=env["RESONATE_NAMESPACE"],
            group="caller",
            tracer=OpenTelemetry(provider),
        )
        with provider.get_tracer("app").start_as_current_span("request") as span:
            client.options(target="nobody").begin_rpc("a", "f")
        client.promises.get("a")
        client.stop()
        code = server.end(signal.SIGTERM)

    path, body = collector.posted.get(timeout=5)
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    (scope,) = resource.scope_spans
    (sent,) = scope.spans
    named = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert code == 0
    assert path == "/v1/traces"
    assert named["service.name"] == "resonate-server"
    assert sent.name == "promise.create"
    assert int.from_bytes(sent.trace_id, "big") == span.get_span_context().trace_id
