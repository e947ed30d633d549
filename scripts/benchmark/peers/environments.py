"""Environments of their own for the packages of peers, made on first use and kept."""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

INSTALL_S_MAX = 600
MADE = "made"  # the last file to be written: without it an environment is not whole


class NotInstalledError(Exception):
    """A peer cannot be had here, and the message says why in one sentence."""


def environment(name: str, requirements: Sequence[str], npm_packages: Sequence[str]) -> Path:
    """Make the environment of a peer, or find the one that was made for the same packages.

    Raises:
        NotInstalledError: a package or a program that installs them is not to be had.
    """
    recipe = "\n".join((sys.version, *requirements, *npm_packages))
    folder = _cache() / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if (folder / MADE).exists():
        return folder
    print(f"installing {name} into {folder}", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(python_of(folder)), "-m", "pip", "install", "--quiet", *requirements]
    _run([*pip, "--disable-pip-version-check"], f"pip could not install {', '.join(requirements)}")
    if npm_packages:
        if shutil.which("npm") is None:
            raise NotInstalledError(f"there is no npm to install {', '.join(npm_packages)} with")
        npm = ["npm", "install", "--silent", "--prefix", str(folder), *npm_packages]
        _run(npm, f"npm could not install {', '.join(npm_packages)}")
    (folder / MADE).touch()
    return folder


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / "bin" / "python"


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "resonate-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(command: Sequence[str], what: str) -> None:
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"{what}: {error}") from error
    if ended.returncode != 0:
        said = (ended.stderr or ended.stdout).strip().splitlines() or ["it did not say why"]
        raise NotInstalledError(f"{what}: {said[-1]}")
