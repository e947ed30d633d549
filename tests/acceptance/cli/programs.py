"""The program `resonate`, and others beside it, as processes of their own."""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from typer.testing import CliRunner

from resonate_broker.cli.program import app
from tests import logs

WORKER = Path(__file__).with_name("worker.py")
RUN_S_MAX = 60.0
LINE_S_MAX = 90.0
END_S_MAX = 120.0

RESONATE = (sys.executable, "-m", "resonate_broker")


class Finished:
    """A command that has ended."""

    def __init__(self, code: int, out: str, err: str, seconds: float) -> None:
        self.code = code
        self.out = out
        self.err = err
        self.seconds = seconds

    @property
    def document(self) -> Any:
        """What it printed as JSON: one document and nothing else."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """What it said on standard error as JSON: one document and nothing else."""
        return json.loads(self.err)

    def __repr__(self) -> str:
        return f"<exit code {self.code} after {self.seconds:.1f} s, {self.out!r}, {self.err!r}>"


def environment(**variables: str) -> dict[str, str]:
    """The environment of the tests without settings, with these variables."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RESONATE_")}
    return {**inherited, "TERM": "xterm", "COLUMNS": "300", "PYTHONUTF8": "1", **variables}


def run(*arguments: str, env: Mapping[str, str], program: Sequence[str] = RESONATE) -> Finished:
    """Run a command to its end."""
    began_at = time.monotonic()
    ended = subprocess.run(
        [*program, *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=_hear_all,
        timeout=RUN_S_MAX,
        check=False,
    )
    seconds = time.monotonic() - began_at
    return Finished(ended.returncode, ended.stdout, ended.stderr, seconds)


def run_here(*arguments: str, env: Mapping[str, str]) -> Finished:
    """Run a command inside this process; what it leaves behind makes the test fail."""
    began_at = time.monotonic()
    without = {k: None for k in os.environ if k.startswith("RESONATE_")}
    with logs.restored():
        ended = CliRunner().invoke(
            app, arguments, prog_name="resonate", env={**without, **env}, catch_exceptions=False
        )
    seconds = time.monotonic() - began_at
    return Finished(ended.exit_code, ended.stdout, ended.stderr, seconds)


def _hear_all() -> None:
    """Also what the tests were told to ignore, if they are run by nohup or in the background."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


class Running:
    """A command that goes on running; its lines arrive while it does."""

    def __init__(
        self, *arguments: str, env: Mapping[str, str], program: Sequence[str] = RESONATE
    ) -> None:
        self._process = subprocess.Popen(
            [*program, *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a terminal signals the whole group
            preexec_fn=_hear_all,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._news: queue.Queue[None] = queue.Queue()
        self._readers = [
            self._read(self._process.stdout, self.out),
            self._read(self._process.stderr, self.err),
        ]

    def _read(self, stream: IO[str] | None, lines: list[str]) -> threading.Thread:
        assert stream is not None

        def read() -> None:
            with stream:
                for line in stream:
                    lines.append(line.rstrip("\n"))
                    self._news.put(None)
            self._news.put(None)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def wait_for(self, pattern: str, seconds: float = LINE_S_MAX) -> str:
        """Wait for a line on either output that matches; return it."""
        give_up_at = time.monotonic() + seconds
        while True:
            for line in (*self.out, *self.err):
                if re.search(pattern, line):
                    return line
            left = give_up_at - time.monotonic()
            if left <= 0 or not any(reader.is_alive() for reader in self._readers):
                raise AssertionError(f"no line {pattern!r} in {self.out} {self.err}")
            try:
                self._news.get(timeout=min(left, 1.0))
            except queue.Empty:
                continue

    def send(self, number: signal.Signals) -> None:
        """Send a signal as a terminal does: to the program and all its children in the group."""
        os.killpg(self._process.pid, number)

    def end(self, number: signal.Signals, seconds: float = END_S_MAX) -> int:
        """Send a signal and wait for the end; return the exit code."""
        self.send(number)
        return self.wait(seconds)

    def wait(self, seconds: float = END_S_MAX) -> int:
        """Wait for the end; return the exit code."""
        code = self._process.wait(seconds)
        for reader in self._readers:
            reader.join(seconds)
        return code

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._process.poll() is None:
            self.end(signal.SIGKILL)


@contextmanager
def running(
    *arguments: str, env: Mapping[str, str], program: Sequence[str] = RESONATE
) -> Generator[Running]:
    """Run a command that does not outlive the block."""
    command = Running(*arguments, env=env, program=program)
    try:
        yield command
    finally:
        command.close()


@contextmanager
def serving(env: Mapping[str, str]) -> Generator[Running]:
    """Run a server."""
    with running("serve", env=env) as server:
        server.wait_for("^Serving namespace")
        yield server


@contextmanager
def working(group: str, env: Mapping[str, str]) -> Generator[Running]:
    """Run a worker of a group."""
    with running(group, env=env, program=(sys.executable, str(WORKER))) as worker:
        worker.wait_for("^takes calls")
        yield worker
