"""The port for Prometheus and for probes, of servers and of workers.

aiohttp serves it on the loop of who is asked: it needs no thread and takes no signals, and brings
the limits and timeouts that a port needs. It is loaded only where the port is wanted.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

KEEPALIVE_S = 30.0
SHUTDOWN_S = 1.0
OK = "ok"


class Probed(Protocol):
    """What is asked."""

    @property
    def collector(self) -> Collector:
        """Reads the counts when it is asked to."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether it goes on: who hears this knows that its loop turns."""
        ...

    async def look(self) -> None:
        """Find out what the counts need and nobody knows yet."""
        ...

    def problems(self) -> Mapping[str, str]:
        """What stands between it and its work, part by part; `OK` where nothing does."""
        ...


class ListenError(Exception):
    """The port cannot be had; the message says why."""


@asynccontextmanager
async def listen(host: str, port: int, probed: Probed) -> AsyncGenerator[int]:
    """Answer `/metrics`, `/health` and `/ready` for as long as the block lasts; give the port.

    Raises:
        ListenError: nobody can listen there.
    """
    runner = web.AppRunner(
        _application(probed),
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


def _application(probed: Probed) -> web.Application:
    found = CollectorRegistry()
    found.register(probed.collector)
    ProcessCollector(registry=found)
    GCCollector(registry=found)

    async def show_metrics(request: web.Request) -> web.Response:
        await probed.look()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(found), headers={"Content-Type": content_type})

    async def show_health(_: web.Request) -> web.Response:
        is_alive = probed.is_alive
        return _json({"status": "alive" if is_alive else "ended"}, is_good=is_alive)

    async def show_readiness(_: web.Request) -> web.Response:
        parts = probed.problems()
        is_ready = all(problem == OK for problem in parts.values())
        status = "ready" if is_ready else "not ready"
        return _json({"status": status, **parts}, is_good=is_ready)

    application = web.Application()
    application.router.add_get("/metrics", show_metrics)
    application.router.add_get("/health", show_health)
    application.router.add_get("/ready", show_readiness)
    return application


def _json(document: dict[str, str], *, is_good: bool) -> web.Response:
    body = msgspec.json.encode(document)
    return web.Response(body=body, status=200 if is_good else 503, content_type="application/json")
