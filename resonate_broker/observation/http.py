"""The port of a server for Prometheus and for probes.

aiohttp serves it on the loop of the server: it needs no thread and takes no signals, and brings
the limits and timeouts that a port needs. It is loaded only where the port is wanted.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from resonate_broker.observation import health, metrics
from resonate_broker.observation.subject import Subject

KEEPALIVE_S = 30.0
SHUTDOWN_S = 1.0


class ListenError(Exception):
    """The port cannot be had; the message says why."""


@asynccontextmanager
async def listen(host: str, port: int, subject: Subject) -> AsyncGenerator[int]:
    """Answer `/metrics`, `/health` and `/ready` for as long as the block lasts; give the port.

    Raises:
        ListenError: nobody can listen there.
    """
    runner = web.AppRunner(
        _application(subject),
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=SHUTDOWN_S,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            reason = error.strerror or str(error)
            raise ListenError(f"cannot listen on {host}:{port}: {reason}") from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _application(subject: Subject) -> web.Application:
    found = metrics.registry(subject)

    async def show_metrics(request: web.Request) -> web.Response:
        await subject.backlog.look()
        return _metrics(found, request.headers.get("Accept", ""))

    async def show_health(_: web.Request) -> web.Response:
        is_alive = health.is_alive(subject)
        return _json({"status": "alive" if is_alive else "ended"}, is_good=is_alive)

    async def show_readiness(_: web.Request) -> web.Response:
        parts = health.problems(subject)
        is_ready = all(problem == health.OK for problem in parts.values())
        status = "ready" if is_ready else "not ready"
        return _json({"status": status, **parts}, is_good=is_ready)

    application = web.Application()
    application.router.add_get("/metrics", show_metrics)
    application.router.add_get("/health", show_health)
    application.router.add_get("/ready", show_readiness)
    return application


def _metrics(found: CollectorRegistry, accept: str) -> web.Response:
    encode, content_type = choose_encoder(accept)
    return web.Response(body=encode(found), headers={"Content-Type": content_type})


def _json(document: dict[str, str], *, is_good: bool) -> web.Response:
    body = msgspec.json.encode(document)
    return web.Response(body=body, status=200 if is_good else 503, content_type="application/json")
