"""A process that does not outlive its owner, and the error that the private servers raise."""

import json
import logging
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from resonate_broker.dev import guard

logger = logging.getLogger(__name__)

POLL_MS = 20
KILL_MS_MAX = guard.KILL_MS_MAX + 5_000
ANSWER_MS_MAX = KILL_MS_MAX
LOG_LINES_SHOWN = 12


class InstanceError(Exception):
    """A private server cannot be had, and the message says what to do about it."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """The user that a server runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What to run, and as whom: None is the user of this process."""

    command: Sequence[str]
    environment: Mapping[str, str]
    account: Account | None = None


class GuardedProcess:
    """A running program and all its children, ended with its owner, as `guard` explains.

    The owner is whoever holds the pipe: a copy of this process made with `os.fork` and without
    `exec` keeps the program alive until it has ended too.
    """

    def __init__(self, launch: Launch, *, stop_signal: int, log_path: Path, lock: int) -> None:
        """Start the program in the folder of its log; the guard keeps `lock` open to the end."""
        if sys.platform != "linux":
            raise InstanceError(f"private servers need Linux, this is {sys.platform}")
        account = launch.account
        order = {
            "command": launch.command,
            "account": None if account is None else (account.uid, account.gid),
            "stop_signal": stop_signal,
        }
        # The output goes to a file and not to the owner's: a server must not hold the pipe open
        # on which somebody waits for the end of the owner's output.
        with log_path.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, json.dumps(order)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=log_path.parent,
                env=launch.environment,
                pass_fds=(lock,),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process of which the program and all its children descend."""
        return self._guard.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code as a shell gives it, None while anything of the program runs."""
        return self._guard.poll()

    def wait(self, timeout_ms: int) -> bool:
        """Wait for the program's end; return False when it still runs after `timeout_ms`."""
        try:
            self._guard.wait(timeout_ms / 1000)
        except subprocess.TimeoutExpired:
            return False
        self._close()
        return True

    def stop(self, timeout_ms: int) -> bool:
        """Ask the program to end, and kill it if it does not; return whether it ended by itself."""
        self._order(guard.STOP)
        if self.wait(timeout_ms):
            return True
        self.kill()
        return False

    def kill(self) -> None:
        """Kill the program and its children; none is left on return."""
        self._order(guard.KILL)
        if not self.wait(KILL_MS_MAX):
            raise InstanceError(f"guard {self._guard.pid} is left {KILL_MS_MAX} ms after the kill")

    def pause(self) -> None:
        """Freeze the program and its children; they are still on return."""
        self._order(guard.PAUSE)

    def resume(self) -> None:
        """Let a paused program go on."""
        self._order(guard.RESUME)

    def _order(self, order: bytes) -> None:
        orders, answers = self._pipes()
        if orders.closed:
            return
        try:
            orders.write(order)
        except BrokenPipeError:
            logger.debug("order came too late guard_pid=%d order=%r", self._guard.pid, order)
            return
        # At the end of the program the answers end too, which counts as one.
        poll = select.poll()
        poll.register(answers, select.POLLIN)
        if not poll.poll(ANSWER_MS_MAX):
            raise InstanceError(f"guard {self._guard.pid} gave no answer to the order {order!r}")
        answers.read(1)

    def _close(self) -> None:
        for pipe in self._pipes():
            pipe.close()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._guard.stdin is not None, "the guard is started with a pipe for orders"
        assert self._guard.stdout is not None, "the guard is started with a pipe for answers"
        return self._guard.stdin, self._guard.stdout


def wait_until(condition: Callable[[], bool], timeout_ms: int) -> bool:
    """Wait until the condition holds; return False when it does not within `timeout_ms`."""
    deadline = time.monotonic() + timeout_ms / 1000
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_MS / 1000)
    return True


def end_of_log(path: Path) -> str:
    """Quote the last lines of a log for an error message, after the name of the file."""
    lines = path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    return "\n    ".join((f"the end of {path}:", *lines))
