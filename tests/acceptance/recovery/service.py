"""A worker of a drill: `python -m tests.acceptance.recovery.service GROUP JOURNAL_FOLDER`.

`foo` calls `bar` in another group. Both write down each step, and stop at a gate in the middle.
"""

import sys
from pathlib import Path

from resonate_sdk import Context, Resonate, Workflow, poll
from tests.acceptance.recovery.journal import Journal

LEASE_SECONDS = 1.5

journal = Journal(Path(sys.argv[2]))


def step(ctx: Context, name: str) -> None:
    journal.write(name)


def gated_step(ctx: Context, name: str) -> None:
    journal.write(f"{name} begun")
    journal.pass_gate(name)
    journal.write(f"{name} ended")


def foo(ctx: Context) -> Workflow[int]:
    yield ctx.run(step, "foo.first")
    promise = yield ctx.rfi("bar").options(send_to=poll("service-bar"))
    yield ctx.run(gated_step, "foo.between")
    result = yield promise
    yield ctx.run(step, "foo.last")
    return result + 1


def bar(ctx: Context) -> Workflow[int]:
    yield ctx.run(step, "bar.first")
    yield ctx.run(gated_step, "bar.middle")
    yield ctx.run(step, "bar.last")
    return 1


if __name__ == "__main__":
    resonate = Resonate.remote(group=sys.argv[1], ttl=LEASE_SECONDS)
    resonate.register({"service-foo": foo, "service-bar": bar}[sys.argv[1]])
    resonate.serve()
