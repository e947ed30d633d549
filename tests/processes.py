"""What a test may know about processes: which ones belong to a folder, and when something is so."""

import time
from collections.abc import Callable
from pathlib import Path

POLL_SECONDS = 0.01


def processes_of(folder: Path) -> set[int]:
    """Find the processes that run in the folder or have its path in their environment.

    It does not ask who started them, so that it also finds what its parent has lost.
    """
    needle = str(folder).encode()
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if needle in (entry / "environ").read_bytes() or needle in bytes(
                (entry / "cwd").readlink()
            ):
                found.add(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Return True as soon as the condition holds, False when it does not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
