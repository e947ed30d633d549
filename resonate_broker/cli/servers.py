"""Running a server from the command line: its event loop, its end, and why it cannot start."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.config import Config
from resonate_store.store import SchemaError

T = TypeVar("T")


def run_on_uvloop(work: Coroutine[Any, Any, T]) -> T:
    """Run until it is done."""
    import uvloop  # loaded by the commands that need it only

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def run_server(config: Config, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        CommandError: the server cannot start.
    """
    from resonate_broker.app import StartError, serve

    try:
        run_on_uvloop(serve(config, on_ready))
    except StartError as error:
        is_refused = isinstance(error.__cause__, SchemaError)
        code = ExitCode.REFUSED if is_refused else ExitCode.UNREACHABLE
        raise CommandError(str(error), code) from error
