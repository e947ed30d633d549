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
    url = urlsplit(server_url)._replace(path=f"/{name}").geturl()
    try:
        yield url
    finally:
        asyncio.run(drop_database(server_url, url))


async def drop_database(server_url: str, url: str) -> None:
    """Drop a database and the roles of the namespaces in it, which belong to the whole server."""
    connection = await asyncpg.connect(url)
    roles = await connection.fetch(
        "select quote_ident(rolname) from pg_roles join pg_namespace on rolname = nspname || $1",
        "_submit",
    )
    await connection.close()
    name = urlsplit(url).path.removeprefix("/")
    await _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")
    for (role,) in roles:
        await _execute(server_url, f"DROP ROLE {role}")


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
