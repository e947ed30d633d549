"""Money moves once: steps may be run twice, the ledger notices by the id of the promise.

    python -m resonate_sdk.examples.money [ID] [LEDGER.db]

A process that dies between a write to the ledger and the record of the step runs the step again:
`INSERT OR IGNORE` under the step's id makes that harmless. The connection is a dependency.
"""

import sqlite3
import sys
from contextlib import closing

from resonate_sdk import Context, Never, Resonate, Workflow

SCHEMA = "CREATE TABLE IF NOT EXISTS ledger (id TEXT PRIMARY KEY, account TEXT, cents INTEGER)"


class Ledger:
    """Accounts, in a file of SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Make the table."""
        self._connection = connection
        connection.execute(SCHEMA)

    def book(self, id: str, account: str, cents: int) -> None:
        """Write a line, unless it is there."""
        with self._connection:
            row = (id, account, cents)
            self._connection.execute("INSERT OR IGNORE INTO ledger VALUES (?, ?, ?)", row)

    def balances(self) -> dict[str, int]:
        """What each account has."""
        query = "SELECT account, sum(cents) FROM ledger GROUP BY account ORDER BY account"
        return dict(self._connection.execute(query).fetchall())


def debit(ctx: Context, account: str, cents: int) -> None:
    """Take money."""
    ctx.get_dependency(Ledger).book(ctx.id, account, -cents)


def credit(ctx: Context, account: str, cents: int) -> None:
    """Give money; an account that is closed takes none."""
    if account == "closed":
        raise LookupError("this account is closed")
    ctx.get_dependency(Ledger).book(ctx.id, account, cents)


def transfer(ctx: Context, source: str, target: str, cents: int) -> Workflow[str]:
    """Move money, and give it back if it cannot arrive."""
    yield from ctx.run(debit, source, cents)
    try:
        yield from ctx.run(credit, target, cents).options(retry_policy=Never())
    except LookupError as error:
        yield from ctx.run(credit, source, cents)
        return f"given back: {error}"
    return f"{cents} cents from {source} to {target}"


def main(id: str = "transfer-1", path: str = ":memory:") -> None:
    """Move money twice: once to somebody, once to nobody."""
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        ledger = Ledger(connection)
        with Resonate(group="money").with_dependency(ledger) as resonate:
            function = resonate.register(transfer)
            print(function.run(id, "ada", "bob", 500))
            print(function.run(f"{id}-back", "ada", "closed", 300))
            print(ledger.balances())


if __name__ == "__main__":
    main(*sys.argv[1:])
