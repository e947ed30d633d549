"""The program `resonate`: one module per group of commands, thin; what they share is beside them."""

import signal
import sys


def main() -> None:
    """Run the program. Who presses Ctrl-C while it is being loaded sees no traceback."""
    try:
        from resonate_broker.cli import program  # it takes its time
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    program.main()


__all__ = ["main"]
