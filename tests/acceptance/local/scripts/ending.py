"""Ends in one of several ways while an execution is under way; tells what that costs.

Arguments: which way, and what the execution does.
"""

import sys
import threading
import time

from resonate_sdk import HandleTimeout, Resonate, ShutdownError

JOIN_SECONDS_MAX = 2

way = sys.argv[1]
running = threading.Event()


def tell(event: str) -> None:
    print(event, flush=True)  # noqa: T201  # how the test hears of it


client = Resonate.local()


@client.register
def waiting(ctx):
    return (yield (yield ctx.promise(id="never")))


@client.register
def sleeping(ctx):
    yield ctx.sleep(3_600)


def blocked_step(ctx):
    running.set()
    threading.Event().wait()


@client.register
def blocked(ctx):
    yield ctx.run(blocked_step)


def working_step(ctx):
    """Ends when the client has begun to stop."""
    running.set()
    try:
        while True:
            client.start()
    except ShutdownError:
        return "done"


@client.register
def working(ctx):
    while True:
        yield ctx.run(working_step)


def leave(handle):
    if way == "stop":
        began = time.monotonic()
        client.stop(0.5 if what == "blocked" else 5)
        tell(f"stopped {time.monotonic() - began:.3f}")
        try:
            handle.result(0)
        except ShutdownError as error:
            tell(f"told {error}")
        ours = [thread for thread in threading.enumerate() if thread.name.startswith("resonate-")]
        for thread in ours:
            thread.join(JOIN_SECONDS_MAX)
        tell(f"threads {[thread.name for thread in ours if thread.is_alive()]}")


what = sys.argv[2]
functions = {"waiting": waiting, "sleeping": sleeping, "blocked": blocked, "working": working}
handle = functions[what].begin_run("x")
if what in ("blocked", "working"):
    running.wait(10)
else:
    try:
        handle.result(0.3)
    except HandleTimeout:
        pass
leave(handle)
tell("end of script")
