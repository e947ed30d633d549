"""An order in steps, which stops at a given moment to be killed there.

Arguments: the file of the promises, the file of the effects, the moment, how long to sleep, and
whether to begin the execution or only to serve it.
"""

import os
import sys
import threading
from typing import Any

from resonate_sdk import Resonate
from resonate_sdk.protocol.requests import TaskSuspend

path, effects, moment, nap_s, mode = sys.argv[1:]
ID = "order-1"


def tell(event: str) -> None:
    print(event, flush=True)  # noqa: T201  # how the test hears of it


def note(effect: str) -> None:
    """An effect on the world outside."""
    file = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{effect}\n".encode())
    os.close(file)


def reached(name: str) -> None:
    """Stop here for ever, if this is the moment."""
    if name == moment:
        tell(name)
        threading.Event().wait()


tell("started")
client = Resonate.local(path=path)

# The commit of a suspension is nothing that a function could tell.
transport: Any = client._runtime._transport
request = transport.request


def observed(what, **keywords):
    answer = request(what, **keywords)
    if isinstance(what, TaskSuspend):
        answer.add_done_callback(lambda _: tell(f"suspended on {','.join(what.awaited)}"))
    return answer


transport.request = observed


def step(ctx, name):
    note(f"{name} begun")
    reached(f"in {name}")
    note(f"{name} ended")
    return name


@client.register
def order(ctx):
    first = yield ctx.run(step, "first")
    reached("between steps")
    second = yield ctx.run(step, "second")
    yield ctx.sleep(float(nap_s))
    approval = yield ctx.promise(id="approval")
    answer = yield approval
    third = yield ctx.run(step, "third")
    reached("before the end")
    return [first, second, answer, third]


handle = order.begin_run(ID) if mode == "begin" else client.get(ID)
if moment in ("in third", "before the end", "nothing"):
    client.promises.create("approval", expires_in=3_600)
    client.promises.resolve("approval", "yes")
tell(f"result {handle.result(60)}")
nap = client.promises.get(f"{ID}.3")
tell(f"nap {nap.created_at} {nap.timeout_at} {nap.settled_at}")
client.stop(5)
