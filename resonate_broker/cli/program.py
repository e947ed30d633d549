"""The program as a whole: its commands, and how all of them end."""

import io
import signal
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from resonate_broker.cli import (
    dev,
    dlq,
    groups,
    history,
    invoke,
    migrate,
    promises,
    schedules,
    serve,
    tasks,
    topology,
    tree,
    triggers,
    why,
    workers,
)
from resonate_broker.cli.exits import CommandError, ExitCode, failure_of
from resonate_broker.cli.output import report

DISTRIBUTION = "resonate-amqp"
SINGULARS = {
    name.removesuffix("s"): name
    for name in ("groups", "promises", "schedules", "tasks", "triggers")
}

# Some releases of typer use the package click, others bring their own; both show this class of it.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class Program(TyperGroup):
    """The commands; whatever goes wrong in one of them becomes a sentence and an exit code here."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note whether errors are wanted as JSON: they may occur before options are read."""
        ctx.meta["as_json"] = "--json" in args
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command; what is called by its plural may be asked for in the singular."""
        return super().get_command(ctx, SINGULARS.get(cmd_name, cmd_name))

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        as_json: bool = ctx.meta["as_json"]
        try:
            if ctx.obj is not None:
                ctx.obj()
            return super().invoke(ctx)
        except _UsageError as error:
            if not as_json:
                raise  # typer shows it, with the usage of the command
            failure = CommandError(_message(error), ExitCode.USAGE)
        except KeyboardInterrupt:
            failure = CommandError("interrupted", ExitCode.INTERRUPTED)
        except Exception as error:
            found = failure_of(error)
            if found is None:
                raise
            failure = found
        report(failure, as_json=as_json)
        raise typer.Exit(failure.code)


def _message(error: Any) -> str:
    return error.format_message()


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"resonate {metadata.version(DISTRIBUTION)}")
        raise typer.Exit


app = typer.Typer(
    name="resonate",
    cls=Program,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 done, 1 refused, 2 usage, 3 unreachable, 4 not found, "
        "5 other state than asked for. Repeating a command is harmless.\n\n"
        "To begin with: resonate dev"
    ),
)


@app.callback(invoke_without_command=True)
def resonate(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Durable execution on RabbitMQ and PostgreSQL."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("migrate", epilog=migrate.EXAMPLES)(migrate.migrate)
app.command("dev", epilog=dev.EXAMPLES)(dev.dev)
app.command("invoke", epilog=invoke.EXAMPLES, cls=invoke.InvokeCommand)(invoke.invoke)
app.command("tree", epilog=tree.EXAMPLES)(tree.tree)
app.command("why", epilog=why.EXAMPLES)(why.why)
app.command("workers", epilog=workers.EXAMPLES)(workers.workers)
app.add_typer(dlq.app, name="dlq")
app.add_typer(groups.app, name="groups")
app.add_typer(promises.app, name="promises")
app.add_typer(history.app, name="history")
app.add_typer(schedules.app, name="schedules")
app.add_typer(tasks.app, name="tasks")
app.add_typer(triggers.app, name="triggers")
app.add_typer(topology.app, name="topology")


def main(on_begin: Callable[[], object]) -> None:
    """Run the program.

    Args:
        on_begin: called when an interruption is a sentence here, and no sooner: the commands are
            put together and their arguments read before that.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A sign of a value that the terminal cannot show is written as an escape.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="resonate", obj=on_begin)
    finally:
        # All is said and done. Who presses Ctrl-C once more while Python cleans up would get its
        # traceback, and another exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
