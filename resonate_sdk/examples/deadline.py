"""Whoever comes first: a slow answer against a durable alarm.

    python -m resonate_sdk.examples.deadline [ID]

Which one has won is recorded: a replay sees the same winner. The loser is canceled.
"""

import sys

from resonate_sdk import Context, Resonate


async def slow_answer(ctx: Context, seconds: float) -> str:
    """Answer late."""
    await ctx.sleep(seconds)
    return "an answer"


async def ask(ctx: Context, takes: float, patience: float) -> str:
    """Wait for an answer, but not for ever."""
    won = await ctx.race([ctx.rpc("slow_answer", takes), ctx.sleep(patience)])
    return won.value or "no answer in time"


def main(id: str = "deadline-1") -> None:
    """Ask with and without patience."""
    with Resonate(group="deadline") as resonate:
        resonate.register(slow_answer)
        function = resonate.register(ask)
        print(function.run(f"{id}-patient", 0.1, 10.0))
        print(function.run(f"{id}-impatient", 10.0, 0.1))


if __name__ == "__main__":
    main(*sys.argv[1:])
