"""The program `resonate`: one module per group of commands, thin; what they share is beside them."""

import os
import signal
import sys

INTERRUPTED = 130  # `exits.ExitCode.INTERRUPTED`, which is among what is loaded


def main() -> None:
    """Run the program. Ctrl-C ends it with a sentence from the first moment on."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from resonate_broker.cli import program  # takes a moment, in which nothing has been begun

    program.main(on_begin=lambda: signal.signal(signal.SIGINT, before))


def _end(*_: object) -> None:
    as_json = "--json" in sys.argv
    error = (
        f'{{"error":"interrupted","exit_code":{INTERRUPTED}}}' if as_json else "Error: interrupted"
    )
    os.write(sys.stderr.fileno(), f"{error}\n".encode())
    os._exit(INTERRUPTED)
