"""The story that `./scripts/demo` tells: start an order, kill it, start it again, ask once more."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

KILLED_AT = "charging the card …"

console = Console(highlight=False)


def main() -> None:
    """Tell it, with real processes and a real SIGKILL."""
    with tempfile.TemporaryDirectory(prefix="resonate-demo-") as folder:
        file = Path(folder) / "orders.db"
        _say("1. An order begins: four steps of a second each, in a process of its own.")
        _run_until_killed(file)
        _say(
            "2. The process was killed (SIGKILL) while it charged the card. Nobody could clean up."
        )
        _say("   The same command again: the reservation is not repeated, the charging is.")
        _run(file)
        _say("3. And once more with the same id: the order is done, so nothing runs.")
        _run(file)
    console.print(
        "\n[bold green]That is durable execution.[/] The program was ordinary Python: see "
        "resonate_sdk/examples/recovery.py.\n"
        "Next: [bold].venv/bin/resonate dev[/] starts a server with RabbitMQ and PostgreSQL, and "
        "the README shows workers in several processes."
    )


def _say(sentence: str) -> None:
    console.print(f"\n[bold]{sentence}[/]")


def _command(file: Path) -> list[str]:
    return [sys.executable, "-m", "resonate_sdk.examples.recovery", str(file), "order-1"]


def _run_until_killed(file: Path) -> None:
    with subprocess.Popen(_command(file), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "its output was asked for"
        for line in process.stdout:
            console.print(line.rstrip(), style="cyan", markup=False)
            if KILLED_AT in line:
                process.send_signal(signal.SIGKILL)


def _run(file: Path) -> None:
    with subprocess.Popen(_command(file), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "its output was asked for"
        for line in process.stdout:
            console.print(line.rstrip(), style="cyan", markup=False)
    if process.returncode != 0:
        sys.exit(f"the example ended with {process.returncode}")


if __name__ == "__main__":
    main()
