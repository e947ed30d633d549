"""A caller and two callees, all in one process and each a task of its own, killed in the middle.

Arguments: the file of the promises, the file of the effects, and the moment.
"""

import os
import sys
import threading

from resonate_sdk import Resonate

path, effects, moment = sys.argv[1:]


def tell(event: str) -> None:
    print(event, flush=True)  # noqa: T201  # how the test hears of it


def note(effect: str) -> None:
    file = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{effect}\n".encode())
    os.close(file)


tell("started")
client = Resonate.local(path=path)


def leaf(ctx, name):
    note(name)
    if name == moment:
        tell(name)
        threading.Event().wait()
    return 1


@client.register
def callee(ctx, name):
    first = yield ctx.run(leaf, f"{name}.1")
    second = yield ctx.run(leaf, f"{name}.2")
    return first + second


@client.register
def caller(ctx):
    a = yield ctx.rfi("callee", "a")
    b = yield ctx.rfi("callee", "b")
    return (yield a) + (yield b)


tell(f"result {caller.run('x')}")
client.stop(5)
