"""Pydantic models as arguments and results; dataclasses and msgspec structs do as well.

    pip install pydantic
    python -m resonate_sdk.examples.models [ID]

What is stored is JSON. It comes back as what the annotations say, validated: in the next step, in
another process, and after a crash.
"""

import sys
from decimal import Decimal

from msgspec import Struct
from pydantic import BaseModel, Field

from resonate_sdk import Context, Resonate, Workflow


class Item(BaseModel):
    """Something to buy."""

    name: str
    price: Decimal = Field(gt=0)


class Order(BaseModel):
    """What somebody wants."""

    customer: str
    items: list[Item]


class Receipt(Struct, frozen=True):
    """What they have paid; a msgspec struct, to show that both go together."""

    customer: str
    total: Decimal


def price(ctx: Context, items: list[Item]) -> Decimal:
    """A step that gets models."""
    return sum((item.price for item in items), Decimal(0))


def buy(ctx: Context, order: Order) -> Workflow[Receipt]:
    """A workflow that gets a model, however it was called."""
    total = yield from ctx.run(price, order.items)
    return Receipt(order.customer, total)


def main(id: str = "buy-1") -> None:
    """Buy two things."""
    items = [Item(name="tea", price=Decimal("3.50")), Item(name="pot", price=Decimal(20))]
    with Resonate(group="models") as resonate:
        receipt = resonate.register(buy).rpc(id, Order(customer="Ada", items=items))
        print(f"{receipt.customer} has paid {receipt.total}")


if __name__ == "__main__":
    main(*sys.argv[1:])
