"""What is stored, looked at from beside the server."""

import asyncio
from typing import Any

import asyncpg

LOOK_SECONDS_MAX = 10


class Rows:
    """The tables of a namespace."""

    TABLES = ("promises", "callbacks", "listeners")
    PASSING = frozenset({"timer_at", "expires_at"})  # a heartbeat moves them: that is its effect

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.fetchval = connection.fetchval
        self.execute = connection.execute
        self._fetch = connection.fetch

    async def all(self) -> list[dict[str, Any]]:
        return [
            {name: cell for name, cell in row.items() if name not in self.PASSING}
            for table in self.TABLES
            for row in await self._fetch(f"select * from {table} order by 1, 2")  # noqa: S608
        ]

    async def until(
        self, query: str, *arguments: Any, equals: Any, seconds: float = LOOK_SECONDS_MAX
    ) -> None:
        """Return when a query has this result."""
        async with asyncio.timeout(seconds):
            while await self.fetchval(query, *arguments) != equals:
                pass  # asking is all the waiting there is

    async def until_exists(self, id: str) -> None:
        await self.until("select count(*) from promises where id = $1", id, equals=1)
