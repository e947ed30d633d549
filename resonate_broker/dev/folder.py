"""The folder of a private server: one owner at a time, and a password that only the owner reads."""

import fcntl
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from resonate_broker.dev.process import InstanceError, wait_until

LOCK = "lock"
LOCK_MS_MAX = 8_000
"""Longer than a guard needs to end the server of an owner that was killed a moment ago."""


@contextmanager
def locked(folder: Path) -> Generator[int]:
    """Make the folder where it is missing, and take it; give the descriptor of its lock.

    The lock lasts as long as any copy of the descriptor is open. A guard keeps one, so that nobody
    touches the data before the last process of the server has ended.

    Raises:
        InstanceError: the folder cannot be made, holds something else, or is in use.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / LOCK).exists():
            raise InstanceError(f"{folder} is not empty: a private server needs its own folder")
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InstanceError(f"the folder {folder} cannot be used: {error.strerror}") from error
    try:
        if not wait_until(lambda: _try_lock(descriptor), LOCK_MS_MAX):
            raise InstanceError(f"the private server in {folder} belongs to another process")
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def keep_password(path: Path) -> str:
    """Draw a password and keep it in that file, unless it holds one already, and return it."""
    if not path.exists():
        write_whole(path, secrets.token_hex(16), mode=0o600)
    return path.read_text()


def write_whole(path: Path, text: str, *, mode: int) -> None:
    """Write a file such that it is never seen half-written, not even after a kill in the middle."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w") as file:
        file.write(text)
    unfinished.replace(path)
