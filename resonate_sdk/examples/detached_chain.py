"""A chain in which nobody waits: each service starts the next one, and is done at once.

    python -m resonate_sdk.examples.detached_chain [ID]

A detached call lives on its own: its caller may end before it begins, and its deadline is its own.
Who wants to know how it ended attaches to the last one, whose id was chosen for that.
"""

import sys

from resonate_sdk import Context, Workflow
from resonate_sdk.examples.services import attach, started


def receive(ctx: Context, order: str) -> Workflow[str]:
    """Take an order, and let it be packed."""
    yield ctx.detached("pack", order, ctx.id).options(target="service-pack")
    return f"{order} is received"


def pack(ctx: Context, order: str, first: str) -> Workflow[str]:
    """Pack it, and let it be shipped."""
    yield ctx.sleep(0.05)
    yield ctx.detached("ship", order).options(target="service-ship", id=f"{first}-shipment")
    return f"{order} is packed"


def ship(ctx: Context, order: str) -> Workflow[str]:
    """Ship it."""
    yield ctx.sleep(0.05)
    return f"{order} is shipped as {ctx.id}"


SERVICES = {"service-receive": receive, "service-pack": pack, "service-ship": ship}


def main(id: str = "order-1") -> None:
    """Start the chain, and look at its end."""
    with started(SERVICES) as client:
        print(client.options(target="service-receive").rpc(id, "receive", "a teapot"))
        print(attach(client, f"{id}-shipment").result())


if __name__ == "__main__":
    main(*sys.argv[1:])
