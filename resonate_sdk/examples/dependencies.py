"""What steps need of their process, such as a database: given to the client, found by the context.

    python -m resonate_sdk.examples.dependencies [ID]

Dependencies are not arguments: they are not stored, and each process has its own. Tests give fakes
in their place: `Environment().dependencies[Database] = FakeDatabase()`.
"""

import sqlite3
import sys

from resonate_sdk import Context, Resonate, Workflow


class Database:
    """Keeps customers."""

    def __init__(self) -> None:
        """Open one in memory."""
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        self._connection.execute("CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT)")

    def add(self, id: str, name: str) -> None:
        """Add a customer; doing it again, after a crash, changes nothing."""
        self._connection.execute("INSERT OR IGNORE INTO customers VALUES (?, ?)", (id, name))

    def names(self) -> list[str]:
        """All of them."""
        return [name for (name,) in self._connection.execute("SELECT name FROM customers")]

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def save(ctx: Context, name: str) -> str:
    """A dependency by its type; the id of the step makes the row one."""
    ctx.get_dependency(Database).add(ctx.id, name)
    return name


def greet(ctx: Context, name: str) -> str:
    """A dependency by its name, with a default."""
    return f"{ctx.get_dependency('greeting', 'Hello')} {name}"


def welcome(ctx: Context, name: str) -> Workflow[str]:
    """Save and greet a customer."""
    saved = yield from ctx.run(save, name)
    return (yield from ctx.run(greet, saved))


def main(id: str = "welcome-1") -> None:
    """Give the process what its steps need."""
    database = Database()
    with Resonate(group="dependencies").with_dependency(database) as resonate:
        resonate.set_dependency("greeting", "Welcome")
        print(resonate.register(welcome).run(id, "Ada"))
        print(database.names())
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
