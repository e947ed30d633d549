"""Scripts that run as processes of their own, tell what they do, and are killed."""

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent / "scripts"
WAIT_S = 30.0


class Script:
    """A running script; each line that it prints is an event.

    Attributes:
        events: what it has told so far.
    """

    def __init__(self, name: str, *args: Any) -> None:
        self.events: list[str] = []
        self._rest = b""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RESONATE_")}
        self.process = subprocess.Popen(
            [sys.executable, SCRIPTS / f"{name}.py", *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    def wait_for(self, beginning: str, timeout_s: float = WAIT_S) -> str:
        """Wait until it tells an event that begins so; give the rest of the line."""
        give_up_at = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            assert self.process.stdout is not None
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while True:
                for event in self.events:
                    if event.startswith(beginning):
                        return event.removeprefix(beginning).strip()
                left_s = give_up_at - time.monotonic()
                is_over = not selector.select(max(0, left_s)) or not self._read()
                if is_over:
                    raise AssertionError(f"no event {beginning!r} in {timeout_s} s: {self.told()}")

    def _read(self) -> bool:
        """Take what is there; False at the end of the output."""
        assert self.process.stdout is not None
        read = os.read(self.process.stdout.fileno(), 65536)
        *lines, self._rest = (self._rest + read).split(b"\n")
        self.events += [line.decode() for line in lines]
        return bool(read)

    def go_on(self) -> None:
        """Let it go on where it waits."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(WAIT_S)

    def wait_for_end(self, timeout_s: float = WAIT_S) -> int:
        """Wait until it has ended by itself; give its exit code."""
        self.process.wait(timeout_s)
        while self._read():
            pass
        return self.process.returncode

    def told(self) -> str:
        """What it has told, for the message of a failing test."""
        if self.process.poll() is None:
            return f"running, events={self.events}"
        assert self.process.stderr is not None
        error = self.process.stderr.read().decode()
        return f"exit={self.process.returncode}, events={self.events}, stderr={error}"

    def close(self) -> None:
        """End it, if it has not ended."""
        if self.process.poll() is None:
            self.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass


@contextmanager
def script(name: str, *args: Any) -> Generator[Script]:
    """Run a script; it does not outlive the block."""
    running = Script(name, *args)
    try:
        yield running
    finally:
        running.close()
