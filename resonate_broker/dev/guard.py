"""The process between an owner and its private server: it ends the server when the owner is gone.

Run as a script of its own by `resonate_broker.dev.process`. It is the parent of the server, takes
orders of one byte on its standard input, answers each on its standard output when it is carried
out, and is the last process of the server to end.
"""

# An owner killed with SIGKILL runs no code any more, so somebody else has to end its servers. The
# parent-death signal of the kernel would need no further process, but it fires when the *thread*
# that started the server ends, and it does not reach the server's children. The end of file of a
# pipe comes when nobody is left who could give an order, whatever became of the owner.
#
# Process groups do not reach a whole server: PostgreSQL's backends and Erlang's port programs each
# open a session, and epmd makes itself a daemon. So this process is their subreaper: who loses its
# parent becomes its child, and "the whole server" is "everything below me". Being the parent also
# keeps the server's pid taken until this process has noticed its end, so that no order can hit a
# stranger.

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

STOP = b"s"
KILL = b"k"
PAUSE = b"p"
RESUME = b"r"
OWNER_GONE = b""
DONE = b"."

ORPHAN_GRACE_MS = 5_000
"""How long the server of a dead owner may take to stop by itself before it is killed."""
KILL_MS_MAX = 10_000
KILL_ROUND_MS = 5

STDIN, STDOUT, STDERR = 0, 1, 2
PR_SET_CHILD_SUBREAPER = 36


class Guard:
    """One server and the orders about it."""

    def __init__(self, server_pid: int, stop_signal: int, wake: int) -> None:
        self._server_pid = server_pid
        self._stop_signal = stop_signal
        self._wake = wake
        self._sources = [wake, STDIN]
        self._kill_at: float | None = None

    def run(self) -> int:
        """Obey until the server has ended, end what is left of it, and return its exit code."""
        while True:
            patience = None if self._kill_at is None else max(0, self._kill_at - time.monotonic())
            ready, _, _ = select.select(self._sources, [], [], patience)
            if not ready:
                break
            if self._wake in ready:
                numbers = os.read(self._wake, 1024)
                status = reap().get(self._server_pid)
                if status is not None:
                    end_all()
                    return shell_exit_code(status)
                if set(numbers) != {signal.SIGCHLD}:
                    self._obey(OWNER_GONE)
                continue
            order = os.read(STDIN, 1)
            if order == KILL:
                break
            self._obey(order)
            answer()
        end_all()
        return 128 + signal.SIGKILL

    def _obey(self, order: bytes) -> None:
        if order == PAUSE:
            signal_all(signal.SIGSTOP)
            return
        signal_all(signal.SIGCONT)
        if order == RESUME:
            return
        os.kill(self._server_pid, self._stop_signal)
        if order == OWNER_GONE:
            self._sources = [self._wake]
            self._kill_at = time.monotonic() + ORPHAN_GRACE_MS / 1000


def descendants() -> list[int]:
    """List the pids below this process, parents before their children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # "pid (name) state ppid …", and a name may hold spaces and parentheses.
        parent = int(stat.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(entry.name))
    found = [os.getpid()]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found[1:]


def signal_all(number: int) -> None:
    """Send a signal to everything below this process, also to what is forked meanwhile."""
    signalled: set[int] = set()
    while fresh := [pid for pid in descendants() if pid not in signalled]:
        for pid in fresh:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        signalled.update(fresh)


def reap() -> dict[int, int]:
    """Collect the children that have ended, adopted ones too: pid to wait status."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def end_all() -> None:
    """Kill everything below this process; return when it is gone."""
    deadline = time.monotonic() + KILL_MS_MAX / 1000
    while descendants():
        if time.monotonic() > deadline:
            raise TimeoutError(f"pids {descendants()} are left {KILL_MS_MAX} ms after SIGKILL")
        signal_all(signal.SIGKILL)
        time.sleep(KILL_ROUND_MS / 1000)
        reap()


def answer() -> None:
    try:
        os.write(STDOUT, DONE)
    except BrokenPipeError:
        return  # the owner is gone, which the next read tells


def shell_exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def wake_on_signals(*numbers: int) -> int:
    """Return a descriptor from which the numbers of arriving signals can be read."""
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_end)
    for number in numbers:
        # Not SIG_IGN: without a handler nothing is written to the descriptor.
        signal.signal(number, lambda _number, _frame: None)
    return read_end


def main(command: list[str], account: list[int] | None, stop_signal: int) -> int:
    """Start `command` as the account (uid, gid), or as oneself, and guard it until it has ended."""
    become_subreaper()
    wake = wake_on_signals(signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    user, group = account or (None, None)
    server = subprocess.Popen(
        command,
        user=user,
        group=group,
        extra_groups=None if account is None else [],
        stdin=subprocess.DEVNULL,
        stdout=STDERR,
        start_new_session=True,
    )
    return Guard(server.pid, stop_signal, wake).run()


if __name__ == "__main__":
    sys.exit(main(**json.loads(sys.argv[1])))
