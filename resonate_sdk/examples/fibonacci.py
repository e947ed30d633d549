"""Recursion over durable calls, with memory: each number is computed once, by its id.

    python -m resonate_sdk.examples.fibonacci [N] [ID]

`ctx.run` would stay in this process; `ctx.rpc` spreads over all workers of the group, so start as
many as you like.
"""

import sys

from resonate_sdk import Context, Resonate, Workflow


def fib(ctx: Context, n: int, memory: str) -> Workflow[int]:
    """Two calls at the same time, under ids that all branches share."""
    if n < 2:
        return n
    calls = [
        ctx.rpc("fib", smaller, memory).options(id=f"{memory}-fib-{smaller}")
        for smaller in (n - 1, n - 2)
    ]
    return sum((yield from ctx.all(calls)))


def main(n: str = "12", id: str = "numbers") -> None:
    """Compute one number of Fibonacci's."""
    with Resonate(group="fibonacci") as resonate:
        function = resonate.register(fib)
        print(f"fib({n}) = {function.run(f'{id}-fib-{n}', int(n), id)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
