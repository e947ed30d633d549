"""Functions as people write them who import types for their checker only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resonate_sdk import Context, Workflow


@dataclass
class Order:
    number: int


def leaf(ctx: Context, order: Order, count: int = 1) -> Order:
    return order


def workflow(ctx: Context, order: Order) -> Workflow[Order]:
    yield ctx.sleep(0)
    return order
