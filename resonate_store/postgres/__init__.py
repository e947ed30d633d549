"""The shared store: a schema in a PostgreSQL database. `migrate` makes its tables."""

from resonate_store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
