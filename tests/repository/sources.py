"""Where the sources are, and which files belong to us."""

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("resonate_sdk", "resonate_broker", "resonate_store")


def modules_of(*folders: str) -> Iterator[Path]:
    """The Python files of some folders of the repository, as paths from its root."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "__pycache__" not in path.parts:
                yield path.relative_to(ROOT)


@lru_cache
def functions_in(module: str) -> frozenset[str]:
    """The names of the functions in a file, which is named from the root of the repository."""
    tree = ast.parse((ROOT / module).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))
