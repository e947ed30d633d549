"""A durable sleep: the time goes on while no process is there, and is not slept twice.

    python -m resonate_sdk.examples.countdown [ID] [SECONDS]

`ctx.sleep(timedelta(days=30))` costs as little: a sleeping execution is a row in the database.
"""

import sys

from resonate_sdk import Context, Resonate


def tell(ctx: Context, text: str) -> None:
    """Print, once."""
    print(text)


async def countdown(ctx: Context, count: int, seconds: float) -> str:
    """Count, with a durable pause after each number."""
    for number in range(count, 0, -1):
        await ctx.run(tell, f"{number} …")
        await ctx.sleep(seconds)
    return "lift-off"


def main(id: str = "countdown-1", seconds: str = "0.2") -> None:
    """Count from three."""
    with Resonate(group="countdown") as resonate:
        print(resonate.register(countdown).run(id, 3, float(seconds)))


if __name__ == "__main__":
    main(*sys.argv[1:])
