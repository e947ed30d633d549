"""The embedded store: a SQLite file of one process, or memory."""

from resonate_store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
