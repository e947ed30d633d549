"""A trace crosses real processes' boundaries: publisher, queues, workers, consumers."""

from collections.abc import Iterator
from contextlib import ExitStack

import aio_pika
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from resonate_sdk import Context, Resonate, Workflow
from resonate_sdk.otel import OpenTelemetry
from resonate_sdk.protocol.topology import Names
from tests.integration.amqp.foreign import foreign_client
from tests.integration.amqp.server import ServerThread
from tests.processes import wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
SECONDS_MAX = 20


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def worker(server: ServerThread, exporter: InMemorySpanExporter) -> Iterator[Resonate]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    config = server.config
    with ExitStack() as stack:
        worker = Resonate.remote(
            config.url,
            namespace=config.namespace,
            group="shop",
            tracer=OpenTelemetry(provider),
        )
        stack.callback(worker.stop)

        @worker.register
        def order(ctx: Context) -> Workflow[str]:
            return (
                yield ctx.rpc("quote", "pot").options(
                    target=f"amqp-exchange:///{config.namespace}-quotes"
                )
            )

        worker.start()
        yield worker


async def test_the_trace_of_a_publisher_reaches_the_worker_and_the_consumer_of_its_step(
    server: ServerThread, worker: Resonate, exporter: InMemorySpanExporter
):
    names = Names(server.config.namespace)
    async with foreign_client(server.config.url, server.config.namespace) as client:
        quotes = f"{server.config.namespace}-quotes"
        await client.declare(quotes)
        taken = await client.consume(quotes)
        exchange = await client.channel.get_exchange(names.submit, ensure=False)
        await exchange.publish(
            aio_pika.Message(
                b"[]",
                message_id="order-1",
                headers={
                    "resonate-func": "order",
                    "resonate-target": "shop",
                    "traceparent": PARENT,
                },
            ),
            routing_key="invoke",
        )
        asked = await taken.next(SECONDS_MAX)

    assert wait_until(lambda: bool(exporter.get_finished_spans()), seconds=SECONDS_MAX)
    (span,) = exporter.get_finished_spans()
    context = span.get_span_context()
    assert span.name == "execute order"
    assert context is not None
    assert f"{context.trace_id:032x}" == TRACE
    assert asked.headers["traceparent"] == f"00-{TRACE}-{context.span_id:016x}-01"
