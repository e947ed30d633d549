"""What the functions of a drill did, written by all processes, and gates that hold them up."""

import os
from pathlib import Path

from tests.processes import wait_until

GATE_SECONDS = 120


class Journal:
    """A file that every process appends to, and gates that the test opens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "journal"

    def write(self, line: str) -> None:
        """Append a line in one piece: also a process that dies then leaves no half of it."""
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)

    def lines(self) -> list[str]:
        return self._file.read_text().splitlines() if self._file.exists() else []

    def count(self, line: str) -> int:
        return self.lines().count(line)

    def wait_for(self, line: str, *, times: int = 1, seconds: float = 60) -> None:
        """Wait until a line has been written so often."""
        if not wait_until(lambda: self.count(line) >= times, seconds=seconds):
            raise AssertionError(f"{line!r} was not written {times} times: {self.lines()}")

    def open_gate(self, name: str) -> None:
        (self._folder / f"{name}.open").touch()

    def pass_gate(self, name: str) -> None:
        """Wait, in a function, until the test opens the gate; unopened, it holds to the end."""
        if not wait_until((self._folder / f"{name}.open").exists, seconds=GATE_SECONDS):
            raise TimeoutError(f"nobody opened the gate {name}")
