"""`resonate dev`: everything on this machine, for as long as the command runs."""

import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from resonate_broker import dev as private
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.logs import log_to_stderr
from resonate_broker.cli.output import Output
from resonate_broker.cli.servers import run_on_uvloop, run_server
from resonate_broker.cli.settings import AsJson, ConfigFile, Namespace, load_settings
from resonate_broker.dev.instance import PrivateServer

EXAMPLES = "Example: resonate dev --folder ~/.resonate-dev"
FOLDER_MODE = 0o711  # root runs PostgreSQL as another user, who must be able to pass
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Remembers that the command was asked to end, wherever it is just then."""

    def __init__(self, output: Output) -> None:
        """Nobody has asked yet."""
        self._output = output
        self.is_wanted = False

    def listen(self) -> None:
        """Take the signals; an event loop may take them over, for as long as it runs."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._take)

    def _take(self, number: int, _: object) -> None:
        if self.is_wanted:
            raise KeyboardInterrupt  # somebody insists
        self.is_wanted = True
        self._output.note("Stopping as soon as what is being started can be stopped")


def dev(
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="DIR",
            help="Keep the data there; by default they are thrown away at the end.",
            show_default=False,
        ),
    ] = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Run RabbitMQ, PostgreSQL and a server of your own until Ctrl-C, to try things out.

    Both are started from the programs of this machine, on free ports and only for this machine.
    """
    output = Output(as_json=as_json)
    settings = load_settings(config, namespace=namespace)
    packages = private.missing_packages()
    if packages:
        raise CommandError(
            f"not installed: {', '.join(packages)} (apt-get install {' '.join(packages)})",
            ExitCode.UNREACHABLE,
        )
    log_to_stderr(settings.log_level, as_json=as_json)
    stop = Stop(output)
    stop.listen()
    with _home(folder) as home, ExitStack() as running:
        output.note(f"Starting PostgreSQL and RabbitMQ in {home}")
        postgres = private.PrivatePostgres(home / "postgres")
        rabbitmq = private.PrivateRabbitMQ(home / "rabbitmq")
        for server in (postgres, rabbitmq):
            if not stop.is_wanted:
                running.callback(_finish, server, keeps_data=folder is not None)
                server.start()
