"""A workflow that never ends: each generation does its work and starts the next one.

    python -m resonate_sdk.examples.endless [ID] [GENERATIONS]

A loop would remember every step of its whole life, and repeat that at each replay. A detached call
of itself at the end begins with nothing but its arguments: ids, memory and replays stay as short
after a thousand generations as after one. This one ends after some, so that you see its state.
"""

import sys

from resonate_sdk import Context, Resonate, Workflow
from resonate_sdk.examples.services import attach


def read_meter(ctx: Context, generation: int) -> int:
    """Do the work of one generation."""
    return generation


def collect(ctx: Context, first: str, total: int, generation: int, last: int) -> Workflow[int]:
    """Work, start the next generation, and end."""
    total += yield from ctx.run(read_meter, generation)
    if generation < last:
        yield ctx.detached(collect, first, total, generation + 1, last)
    else:
        yield ctx.detached("publish", total).options(id=f"{first}-total")
    return total


def publish(ctx: Context, total: int) -> int:
    """Keep the total of all under an id that everybody knows."""
    return total


def main(id: str = "endless-1", generations: str = "25") -> None:
    """Start the first generation, and wait for what the last one publishes."""
    with Resonate(group="endless") as resonate:
        resonate.register(publish)
        first = resonate.register(collect).run(id, id, 0, 1, int(generations))
        print(f"the first generation ended with {first}")
        print(f"the last one with {attach(resonate, f'{id}-total').result()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
