"""Steps that feed each other, with the types that their annotations say.

    python -m resonate_sdk.examples.pipeline [ID]

Arguments and results are stored as JSON; dataclasses, enums, decimals and instants come back as
what they were, also in another process after a crash.
"""

import sys
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum

from resonate_sdk import Context, Resonate


class Kind(Enum):
    """What a line is about."""

    GOODS = "goods"
    SHIPPING = "shipping"


@dataclass(frozen=True)
class Line:
    """A line of an invoice."""

    kind: Kind
    amount: Decimal


@dataclass(frozen=True)
class Invoice:
    """What the customer gets."""

    due: date
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        """Of all lines."""
        return sum((line.amount for line in self.lines), Decimal(0))


def price(ctx: Context, item: str) -> Line:
    """Look up what an item costs."""
    return Line(Kind.GOODS, Decimal("12.50") * len(item))


def ship(ctx: Context, goods: Line) -> Line:
    """Find out what sending it costs."""
    return Line(Kind.SHIPPING, Decimal("4.90") if goods.amount < 100 else Decimal(0))


def invoice(ctx: Context, lines: tuple[Line, ...]) -> Invoice:
    """Write the invoice."""
    return Invoice(date(2026, 1, 31), lines)


async def bill(ctx: Context, item: str) -> Invoice:
    """Each step gets what the one before has given."""
    goods = await ctx.run(price, item)
    shipping = await ctx.run(ship, goods)
    return await ctx.run(invoice, (goods, shipping))


def main(id: str = "bill-1") -> None:
    """Write one invoice."""
    with Resonate(group="pipeline") as resonate:
        result = resonate.register(bill).run(id, "teapot")
        print(f"{result.total} until {result.due}, for {[line.kind.name for line in result.lines]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
