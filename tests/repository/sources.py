"""Where the sources are, and which files belong to us."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("resonate_sdk", "resonate_broker", "resonate_store")


def modules_of(*folders: str) -> Iterator[Path]:
    """The Python files of some folders of the repository, as paths from its root."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "__pycache__" not in path.parts:
                yield path.relative_to(ROOT)
