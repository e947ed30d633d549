"""What the examples of several services share: they run in one process, or each on the server."""

import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from resonate_sdk import Handle, LocalServer, NotFoundError, Resonate

Functions = Mapping[str, Callable[..., Any]]


@contextmanager
def started(functions: Functions) -> Generator[Resonate]:
    """Start one service per group, and give a client that calls them.

    With RESONATE_URL they are clients of the server there, else of one inside this process.

    Args:
        functions: what each group serves.
    """
    with ExitStack() as stack:
        server = _server(stack)
        for group, function in functions.items():
            service = stack.enter_context(Resonate(server=server, group=group))
            service.register(function)
            service.start()
        yield stack.enter_context(Resonate(server=server, group="caller"))


@contextmanager
def started_workers(
    group: str, function: Callable[..., Any], workers: Mapping[str, int]
) -> Generator[Resonate]:
    """Start several workers of one group, and give a client that calls them.

    Args:
        group: which one.
        function: what all of them serve.
        workers: how many executions each takes at a time; it finds its name as a dependency.
    """
    with ExitStack() as stack:
        server = _server(stack)
        for name, slots in workers.items():
            worker = Resonate(
                server=server,
                group=group,
                max_concurrent_tasks=slots,
                dependencies={"worker": name},
            )
            stack.enter_context(worker).register(function)
            worker.start()
        yield stack.enter_context(Resonate(server=server, group="caller"))


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Generator[str]:
    """Serve HTTP on a free port of this machine, and give the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def attach(client: Resonate, id: str, seconds: float = 60.0) -> Handle[Any]:
    """Wait for an execution that somebody else is going to start."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return client.get(id)
        except NotFoundError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _server(stack: ExitStack) -> LocalServer | None:
    """A server inside this process; None if there is another one."""
    if os.environ.get("RESONATE_URL"):
        return None
    server = LocalServer()
    stack.callback(server.close)
    return server
