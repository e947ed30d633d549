"""Named statements from SQL files: `-- name: x` begins the statement `x`."""

import re
from collections.abc import Mapping
from importlib import resources

_HEADING = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_queries(package: str, file: str = "queries.sql") -> Mapping[str, str]:
    """Read the statements of a package's SQL file, by name."""
    parts = _HEADING.split(resources.files(package).joinpath(file).read_text())
    names, statements = parts[1::2], parts[2::2]
    assert len(set(names)) == len(names), f"{package}/{file} names a statement twice"
    return dict(zip(names, (text.strip().rstrip(";") for text in statements), strict=True))
