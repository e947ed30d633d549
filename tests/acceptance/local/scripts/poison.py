"""Runs a function that cannot come to an end, for a moment, and tells how often it was begun.

Argument: what is wrong with it.
"""

import os
import sys

from resonate_sdk import HandleTimeout, Promise, Resonate

what = sys.argv[1]
runs = []
client = Resonate.local()


def down(ctx, n):
    return 0 if n == 0 else 1 + (yield ctx.run(down, n - 1))


@client.register
def poison(ctx):
    runs.append(1)
    if what == "own promise":
        yield Promise(ctx.id)
    elif what == "deep recursion":
        yield ctx.run(down, 600)
    elif what == "number as tag":
        yield ctx.promise(tags={"n": 1})
    elif what == "empty id":
        yield ctx.promise(id="")


handle = poison.begin_run("x")
try:
    handle.result(10)
except HandleTimeout:
    print("settled no", flush=True)  # noqa: T201
except Exception as error:  # noqa: BLE001  # it is told
    print("settled", type(error).__name__, error, flush=True)  # noqa: T201
print("runs", len(runs), flush=True)  # noqa: T201
os._exit(0)  # not to be caught in a stop that might hang
