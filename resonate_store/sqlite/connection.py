"""The file of a SQLite store: whose it is, and what its errors mean."""

import os
import sqlite3
from importlib import resources

from resonate_store.store import (
    ConflictError,
    RejectedError,
    SchemaError,
    StoreError,
    UnavailableError,
)

APPLICATION_ID = int.from_bytes(b"rsn8", "big")  # in the header of every file of ours
SCHEMA_VERSION = 1

_OWN_FILE = "give path= a file of its own"
_PRIMARY_CODE = 0xFF  # what lies above tells kinds of the same error apart


def open_file(path: str) -> sqlite3.Connection:
    """Open a file, or `:memory:`, and make its tables.

    Raises:
        SchemaError: it is not ours, or of another release.
        sqlite3.Error: SQLite refuses something.
    """
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    # One owner: the first access takes the lock, and the operating system drops it when the
    # process dies, however it dies.
    connection.execute("pragma locking_mode = exclusive")
    # Nothing is written before it is certain that the file is ours, or nobody's.
    (application_id,) = connection.execute("pragma application_id").fetchone()
    (version,) = connection.execute("pragma user_version").fetchone()
    (objects,) = connection.execute("select count(*) from sqlite_schema").fetchone()
    is_new = application_id == version == objects == 0
    if application_id != APPLICATION_ID and not is_new:
        raise SchemaError(f"{path} is another program's database: {_OWN_FILE}")
    if version not in (0, SCHEMA_VERSION):
        raise SchemaError(f"{path} has schema {version}, this release needs {SCHEMA_VERSION}")
    if is_new:
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    schema = resources.files("resonate_store.sqlite").joinpath("schema.sql").read_text()
    connection.executescript(schema)
    connection.execute(f"pragma user_version = {SCHEMA_VERSION}")


class Translated:
    """Turns what SQLite raises within into errors of a store; may be entered again and again.

    A class, because `@contextmanager` costs more than a microsecond at each read.
    """

    def __init__(self, path: str) -> None:
        """Name the file in what is said."""
        self._path = path

    def __enter__(self) -> None:
        """Nothing has been raised yet."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        """Translate what SQLite has raised, if it has."""
        if isinstance(error, sqlite3.Error):
            raise _store_error(self._path, error) from error


def _store_error(path: str, error: sqlite3.Error) -> StoreError:
    # Errors that the module finds by itself have no code.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
        return ConflictError(f"{path}: {error}")
    match code & _PRIMARY_CODE:
        case sqlite3.SQLITE_NOTADB:
            return SchemaError(f"{path} is not a database of this system: {_OWN_FILE}")
        case sqlite3.SQLITE_CORRUPT:
            return SchemaError(
                f"{path} is damaged: {error}: restore it from a copy, or move it away and begin "
                "with an empty one"
            )
        case sqlite3.SQLITE_BUSY:
            return UnavailableError(
                f"{path} cannot be used: it is open in another process, or in another client of "
                "this one: a file belongs to one client at a time"
            )
        case _ if isinstance(error, sqlite3.OperationalError):
            return UnavailableError(f"{path} cannot be used: {_obstacle(path) or error}")
        case _:
            return RejectedError(f"{path}: {error}")


def _obstacle(path: str) -> str | None:
    """What SQLite does not say when it cannot open a file, or not for writing."""
    # The file itself is only looked at: closing it would drop the locks that SQLite has on it.
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        return "it is a folder: name a file in it"
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        return "this user may not write there"
    return None
