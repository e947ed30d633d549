"""Databases that several tests share: to make one takes longer than most tests do."""

import asyncio
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg

# Text sorts here as people expect it, not by bytes: what relies on bytes has to say so.
UNLIKE_BYTES = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"


@contextmanager
def new_database(server_url: str) -> Generator[str]:
    """Give the URL of an empty database, and drop it in the end."""
    name = f"test_{secrets.token_hex(6)}"
    create = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"
    try:
        asyncio.run(_execute(server_url, f"{create} {UNLIKE_BYTES}"))
    except asyncpg.PostgresError:  # before PostgreSQL 15, or built without ICU
        asyncio.run(_execute(server_url, create))
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
