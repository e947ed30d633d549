"""Where the programs of the servers are on this machine, and which package to install for them."""

import re
from collections.abc import Iterable
from pathlib import Path

from resonate_broker.dev.process import InstanceError


class MissingProgramError(InstanceError):
    """The programs of a server are not there; `package` is the Debian package that has them."""

    def __init__(self, server: str, *, looked_for: str, package: str) -> None:
        super().__init__(
            f"{server} is not installed ({looked_for} not found): apt-get install {package}"
        )
        self.package = package


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Order paths by the version numbers in them: 4.0.5 before 3.10.8 before 3.9.27."""
    return sorted(paths, key=_version, reverse=True)


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(path)))
