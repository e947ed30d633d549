"""What the machine itself had no say in: time that its host gave to others."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec.structs import replace

from scripts.benchmark.rows import Row

STATISTICS = Path("/proc/stat")
STOLEN = 7  # its place among the times of a line; those after it are counted in others already


def with_stolen(rows: Iterable[Row]) -> Iterator[Row]:
    """Say in each row how much of the machine's time was stolen while it was being measured.

    Only Linux tells.
    """
    if not STATISTICS.exists():
        yield from rows
        return
    before = _times()
    for row in rows:
        after = _times()
        yield replace(row, stolen=round(stolen_share(before, after), 3))
        before = _times()


def stolen_share(before: str, after: str) -> float:
    """The share of a machine's time that its host gave to others.

    Args:
        before: the first line of `/proc/stat` (proc(5)), as it was.
        after: as it is now.
    """
    passed = [late - early for early, late in zip(_read(before), _read(after), strict=True)]
    return passed[STOLEN] / sum(passed) if any(passed) else 0.0


def _times() -> str:
    return STATISTICS.read_text().split("\n", 1)[0]


def _read(line: str) -> list[int]:
    return [int(ticks) for ticks in line.split()[1 : STOLEN + 2]]
