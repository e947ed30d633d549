"""Exceptions cross processes: a class of yours is caught where it was called, attributes and all.

python -m resonate_sdk.examples.failures [ID]
"""

import sys

from resonate_sdk import Constant, Context, NonRetryable, Resonate, Workflow


class PaymentDeclinedError(Exception):
    """The bank says no: trying again does not help."""

    retryable = False

    def __init__(self, message: str, *, order: str) -> None:
        """Keep which order it was."""
        super().__init__(message)
        self.order = order


def charge(ctx: Context, order: str, card: str) -> str:
    """Fail for a while, fail for good, or work."""
    if card == "expired":
        raise PaymentDeclinedError("the card has expired", order=order)
    if card == "stolen":
        raise NonRetryable("nobody tries that again")
    if ctx.info.attempt < 3:
        raise ConnectionError("the bank does not answer")
    return f"charged in attempt {ctx.info.attempt}"


def pay(ctx: Context, order: str, card: str) -> Workflow[str]:
    """Try again what may work, and handle what will not."""
    call = ctx.rpc("charge", order, card)
    try:
        return (yield from call)
    except PaymentDeclinedError as error:
        return f"{error.order}: {error}"
    except NonRetryable as error:
        return f"given up: {error}"


def main(id: str = "pay-1") -> None:
    """Pay with three cards."""
    with Resonate(group="failures", retry_policy=Constant(delay=0.05)) as resonate:
        resonate.register(charge)
        function = resonate.register(pay)
        for card in ("good", "expired", "stolen"):
            print(function.run(f"{id}-{card}", "order-7", card))


if __name__ == "__main__":
    main(*sys.argv[1:])
