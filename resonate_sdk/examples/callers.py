"""One client for everybody: blocking calls for scripts and threads, `await` for event loops.

python -m resonate_sdk.examples.callers [ID]
"""

import asyncio
import sys

from resonate_sdk import Context, Function, Handle, Resonate


async def add(ctx: Context, a: int, b: int) -> int:
    """Add two numbers, durably."""
    await ctx.sleep(0.01)
    return a + b


async def in_a_loop(function: "Function[[int, int], int]", id: str) -> list[int]:
    """In a coroutine, handles are awaited: nothing blocks the loop."""
    handles: list[Handle[int]] = [function.begin_run(f"{id}-{n}", n, n) for n in range(3)]
    return [await handle for handle in handles]


def main(id: str = "callers-1") -> None:
    """Call from a script, by a handle, and from an event loop."""
    with Resonate(group="callers") as resonate:
        function = resonate.register(add)
        print(function.run(f"{id}-script", 1, 2))
        print(function.begin_run(f"{id}-handle", 3, 4).result(timeout=60))
        print(asyncio.run(in_a_loop(function, id)))


if __name__ == "__main__":
    main(*sys.argv[1:])
