"""`resonate dev`: everything on this machine, for as long as the command runs."""

import shlex
import shutil
import signal
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from resonate_broker import dev as private
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.logs import log_to_stderr
from resonate_broker.cli.output import Output
from resonate_broker.cli.servers import make_tables, run_server
from resonate_broker.cli.settings import AsJson, ConfigFile, Namespace
from resonate_broker.config import Config, HttpConfig, load_config
from resonate_broker.dev.instance import PrivateServer
from resonate_broker.dev.ports import LOOPBACK, free_port

EXAMPLES = "Example: resonate dev --folder ~/.resonate-dev"
FOLDER_MODE = 0o711  # root runs PostgreSQL as another user, who must be able to pass
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # the server knows these, too


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
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else it is run by nohup
            signal.signal(signal.SIGHUP, self._lose_terminal)

    def _lose_terminal(self, number: int, _: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    def _take(self, number: int, _: object) -> None:
        if self.is_wanted:
            raise KeyboardInterrupt  # somebody insists
        self.is_wanted = True
        self._output.note("Stopping in a moment")


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
    settings = load_config({"namespace": namespace}, file=config)
    packages = private.missing_packages()
    if packages:
        raise CommandError(
            f"not installed: {' and '.join(packages)}, apt-get install {' '.join(packages)}",
            ExitCode.UNREACHABLE,
        )
    # What goes well is said here in fewer words.
    level = "warning" if settings.log_level == "info" else settings.log_level
    log_to_stderr(level, as_json=as_json or settings.log_format == "json")
    stop = Stop(output)
    stop.listen()
    with _home(folder) as home, ExitStack() as running:
        postgres = private.PrivatePostgres(home / "postgres")
        rabbitmq = private.PrivateRabbitMQ(home / "rabbitmq", has_management=True)
        for server in (postgres, rabbitmq):
            output.note(f"Starting {server.name} in {server.folder}")
            running.callback(_finish, server, keeps_data=folder is not None)
            try:
                server.start()
            except private.InstanceError:
                # A process that is just being started still hears the Ctrl-C of the terminal.
                if not stop.is_wanted:
                    raise
            if stop.is_wanted:
                return
        http = settings.http
        if not http.listen:
            http = HttpConfig(listen=f"{LOOPBACK}:{free_port()}")
        settings = msgspec.structs.replace(
            settings,
            url=rabbitmq.url,
            database_url=postgres.url,
            management_url=rabbitmq.management_url,
            http=http,
        )
        make_tables(settings)

        def on_ready() -> None:
            output.note("Ready. For other terminals:\n")
            _announce(output, settings, home)
            output.note(f"\nMetrics: {_metrics_url(settings)}")
            output.note(f"\nCtrl-C ends everything{'' if folder else ' and removes the data'}.")
            if stop.is_wanted:
                signal.raise_signal(signal.SIGTERM)  # asked before the server could listen

        run_server(settings, on_ready)
        stop.listen()
        output.note("Stopping")


@contextmanager
def _home(folder: Path | None) -> Generator[Path]:
    """The folder of the servers: the one that was given, or one that is removed in the end."""
    if folder is not None:
        try:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(
                f"the folder {folder} cannot be made: {error.strerror}", ExitCode.USAGE
            ) from error
        yield folder
        return
    home = Path(tempfile.mkdtemp(prefix="resonate-dev-"))
    try:
        home.chmod(FOLDER_MODE)
        yield home
    finally:
        shutil.rmtree(home)


def _finish(server: PrivateServer, *, keeps_data: bool) -> None:
    """End a server; what is thrown away anyway need not be put in order first."""
    if keeps_data:
        server.stop()
    else:
        server.kill()


def _announce(output: Output, settings: Config, home: Path) -> None:
    variables = {
        "RESONATE_URL": settings.url,
        "RESONATE_DATABASE_URL": settings.database_url,
        "RESONATE_MANAGEMENT_URL": settings.management_url or "",
    }
    if settings.namespace != Config().namespace:
        variables["RESONATE_NAMESPACE"] = settings.namespace
    document = {
        "url": settings.url,
        "database_url": settings.database_url,
        "management_url": settings.management_url,
        "namespace": settings.namespace,
        "folder": str(home),
        "metrics_url": _metrics_url(settings),
    }
    output.announce(
        document, [f"export {name}={shlex.quote(text)}" for name, text in variables.items()]
    )


def _metrics_url(settings: Config) -> str:
    return f"http://{settings.http.listen}/metrics"
