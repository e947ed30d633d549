"""Recursion over a group: each number is computed by whichever worker takes the call.

    python -m resonate_sdk.examples.factorial [N] [ID]

A function that waits for its own remote call is in nobody's way: two workers with one slot each are
enough for any depth. Kill one of them, and the other goes on. The ids are those of the numbers, so
that a second factorial takes what the first one has computed.
"""

import sys

from resonate_sdk import Context, Workflow
from resonate_sdk.examples.services import started_workers

WORKERS = {"first": 1, "second": 1}  # how many executions each runs at a time


def factorial(ctx: Context, n: int, id: str) -> Workflow[int]:
    """Let the group compute the number below, and multiply."""
    if n <= 1:
        return 1
    below = ctx.rpc("factorial", n - 1, id).options(target="factorial", id=f"{id}-{n - 1}")
    smaller: int = yield below
    return n * smaller


def main(n: str = "10", id: str = "factorial") -> None:
    """Compute one number, then one that needs it."""
    with started_workers("factorial", factorial, WORKERS) as client:
        group = client.options(target="factorial")
        for number in (int(n), int(n) + 1):
            print(f"{number}! = {group.rpc(f'{id}-{number}', 'factorial', number, id)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
