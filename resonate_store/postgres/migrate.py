"""Bringing the tables of a namespace to the version that this release works with.

Each version is one file. A release adds at most one, which the release before it tolerates: so two
neighbouring releases can serve the same tables. A file that has been released is never edited.
"""

import logging
import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib import resources

from msgspec import Struct

from resonate_store.postgres import settings
from resonate_store.postgres.connection import Connection, Row, connect
from resonate_store.queries import load_queries
from resonate_store.store import SchemaError, StoreError

POSTGRES_VERSION_MIN = 140_000  # client_connection_check_interval came with 14

_FILE = re.compile(r"(\d{4})_\w+\.sql")
_QUERIES = load_queries("resonate_store.postgres", "migrate.sql")

logger = logging.getLogger(__name__)


class Migration(Struct, frozen=True):
    """One step from a version of the tables to the next.

    Attributes:
        version: that it leads to.
        name: of its file.
        sql: its statements.
    """

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Tells whether the file is still the one that was applied."""
        return sha256(self.sql.encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """All that this release knows, in order."""
    folder = resources.files("resonate_store.postgres").joinpath("migrations")
    found: list[Migration] = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        match = _FILE.fullmatch(file.name)
        if match is not None:
            found.append(Migration(int(match[1]), file.name, file.read_text()))
    assert [m.version for m in found] == list(range(1, len(found) + 1)), "a version is missing"
    return tuple(found)


async def migrate(
    url: str, namespace: str, known: Sequence[Migration] | None = None
) -> tuple[str, ...]:
    """Apply what has not been applied yet; return the names.

    Each step is a transaction: what was interrupted goes on where it stopped. Several processes
    may do this at the same time; they take turns.

    Args:
        url: of the database; the user must be allowed to make the schema, if it is missing.
        namespace: names the schema.
        known: the steps, if not those of this release.

    Raises:
        SchemaError: the tables are newer than this release, or were made by other files.
        UnavailableError: the database cannot be reached.
        RejectedError: a step does not work on this database.
    """
    connection = await connect(url, settings.migration(namespace), answer_seconds_max=None)
    applied: list[str] = []
    try:
        while (step := await _apply_next(connection, namespace, known or migrations())) is not None:
            logger.info("migration applied namespace=%s name=%s", namespace, step.name)
            applied.append(step.name)
    finally:
        await connection.close()
    return tuple(applied)


async def pending(
    url: str, namespace: str, known: Sequence[Migration] | None = None
) -> tuple[str, ...]:
    """Name what `migrate` would apply, and change nothing.

    Args:
        url: as of `migrate`.
        namespace: likewise.
        known: likewise.

    Raises:
        SchemaError: as of `migrate`.
        UnavailableError: the database cannot be reached.
    """
    connection = await connect(url, settings.migration(namespace))
    try:
        (schema,) = await connection.fetch(_QUERIES["schema"], namespace)
        _check_server(schema)
        applied = await connection.fetch(_QUERIES["versions"]) if schema["has_versions"] else ()
    finally:
        await connection.close()
    return tuple(step.name for step in _remaining(applied, namespace, known or migrations()))


async def submit_grants(url: str, namespace: str) -> tuple[str, ...]:
    """What is left to do so that applications can have the role that may call `submit`.

    It is done with the tables, unless their owner may not make roles: then these statements are for
    somebody who may.

    Raises:
        UnavailableError: the database cannot be reached.
    """
    connection = await connect(url, settings.migration(namespace))
    try:
        rows = await connection.fetch(_QUERIES["submit_grants"], namespace)
    finally:
        await connection.close()
    return tuple(statement for (statement,) in rows)


async def check(connection: Connection, namespace: str) -> None:
    """Look whether this release can work with the tables.

    Raises:
        SchemaError: it cannot; one sentence says why, and what to do.
    """
    needed = migrations()[-1].version
    (schema,) = await connection.fetch(_QUERIES["schema"], namespace)
    has_versions: bool = schema["has_versions"]
    rows = await connection.fetch(_QUERIES["versions"]) if has_versions else ()
    if not rows:
        raise SchemaError(f"the schema {namespace!r} has no tables: run `resonate migrate`")
    version: int = rows[-1][0]
    if version < needed:
        raise SchemaError(
            f"the schema {namespace!r} has version {version}, this release needs {needed}: "
            "run `resonate migrate`"
        )
    if version > needed + 1:
        raise SchemaError(
            f"the schema {namespace!r} has version {version}, this release works with {needed} and "
            f"{needed + 1}: start a newer release"
        )


async def _apply_next(
    connection: Connection, namespace: str, known: Sequence[Migration]
) -> Migration | None:
    await connection.execute("begin")
    try:
        await connection.fetch(_QUERIES["take_turns"], namespace)
        await _prepare(connection, namespace)
        applied = await connection.fetch(_QUERIES["versions"])
        step = next(iter(_remaining(applied, namespace, known)), None)
        if step is not None:
            await connection.execute(step.sql)
            await connection.fetch(
                _QUERIES["record_version"], step.version, step.name, step.checksum
            )
        await connection.execute("commit")
    except StoreError:
        await connection.execute("rollback")
        raise
    return step


async def _prepare(connection: Connection, namespace: str) -> None:
    """Make the schema and the table of versions, unless they are there."""
    (schema,) = await connection.fetch(_QUERIES["schema"], namespace)
    _check_server(schema)
    if not schema["has_schema"]:
        await connection.execute(schema["create_schema"])
    if not schema["has_versions"]:
        await connection.execute(_QUERIES["create_versions"])


def _check_server(schema: Row) -> None:
    server, encoding = schema["server"], schema["encoding"]
    if server < POSTGRES_VERSION_MIN:
        raise SchemaError(f"this is PostgreSQL {server // 10_000}, it takes 14 or later")
    if encoding != "UTF8":
        raise SchemaError(f"the database has the encoding {encoding}, it takes UTF8")


def _remaining(
    applied: Sequence[Row], namespace: str, known: Sequence[Migration]
) -> Sequence[Migration]:
    """What is to be applied after what has been.

    Raises:
        SchemaError: that is not what this release would have applied.
    """
    if len(applied) > len(known):
        raise SchemaError(
            f"the schema {namespace!r} has version {applied[-1][0]}, this release knows "
            f"{len(known)}: migrate with the newer release"
        )
    for (version, name, checksum), step in zip(applied, known, strict=False):
        if version != step.version or checksum != step.checksum:
            raise SchemaError(
                f"version {version} of the schema {namespace!r} was made by another {name} than "
                "the one of this release"
            )
    return known[len(applied) :]
