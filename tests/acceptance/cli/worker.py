"""A worker for the tests of the command line; its argument is the group."""

import sys
from pathlib import Path

from resonate_sdk import Never, Resonate

resonate = Resonate.remote(group=sys.argv[1])


@resonate.register
def greet(ctx, name, greeting="Hello"):
    return f"{greeting} {name}"


@resonate.register(retry_policy=Never())
def fail(ctx, reason):
    raise ValueError(reason)


@resonate.register(retry_policy=Never())
def read(ctx, pipe):
    return Path(pipe).read_text()


@resonate.register
def order(ctx, number):
    yield ctx.run(greet, "order")
    yield ctx.sleep(0.01)
    yield ctx.rpc("greet", "parcel")
    asked = yield ctx.promise()
    answer = yield asked
    return [number, answer]


resonate.start()
sys.stdout.write("takes calls\n")
sys.stdout.flush()
resonate.serve()
