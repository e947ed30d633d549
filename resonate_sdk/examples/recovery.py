"""An order in four steps that goes on where it was when its process is killed.

    python -m resonate_sdk.examples.recovery orders.db order-1

Kill it at any moment and start it again with the same arguments: steps that were finished are not
repeated, the one that was interrupted is. Once the order is done, starting it again prints the
result and runs nothing. No server is needed: the promises are kept in the file.
"""

import sys
import time

from resonate_sdk import Context, Resonate, Workflow

SECONDS_PER_STEP = 1.0


def work(ctx: Context, what: str) -> str:
    """Stand for something that takes a while and has an effect outside."""
    print(f"  {what} …", flush=True)
    time.sleep(SECONDS_PER_STEP)
    print(f"  {what}: done", flush=True)
    return what


def order(ctx: Context, item: str) -> Workflow[str]:
    """Every `yield ctx.run(...)` is remembered as soon as it has returned."""
    yield ctx.run(work, f"reserving one {item}")
    yield ctx.run(work, "charging the card")
    yield ctx.run(work, f"packing the {item}")
    yield ctx.run(work, "shipping the parcel")
    return f"one {item}, paid and shipped"


def main(path: str, id: str) -> None:
    """Run the order of this id to its end, whatever is left of it."""
    with Resonate.local(path=path) as resonate:
        result = resonate.register(order).run(id, "teapot")
        print(f"  result: {result}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
