"""The programs of the documentation, as they are printed there."""

import re
from types import CodeType
from typing import Any

from tests.repository.sources import ROOT

README = ROOT / "resonate_broker" / "integration" / "README.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def program(part: str, *changes: tuple[str, str]) -> CodeType:
    """The one that has this in it.

    Args:
        part: that no other program has.
        changes: texts that must be in it, and what a test that shares its servers needs instead.
    """
    (found,) = [program for program in PROGRAMS if part in program]
    for printed, own in changes:
        assert printed in found, f"{printed!r} is not in the program with {part!r}"
        found = found.replace(printed, own)
    return compile(found, str(README), "exec")


def worker(part: str, *changes: tuple[str, str]) -> Any:
    """The client of a program that serves; it serves beside the test."""
    scope: dict[str, Any] = {"__name__": "worker"}
    exec(program(part, ("resonate.serve()", "resonate.start()"), *changes), scope)
    return scope["resonate"]
