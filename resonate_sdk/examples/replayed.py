"""What new code would do with an execution that has begun: replayed before it is deployed.

    python -m resonate_sdk.examples.replayed [ID]

`python -m resonate_sdk history ID` saves such a record from a server, `check` replays all of them in
continuous integration, and `replay(..., break_at="ID.2")` stops there in a debugger.
"""

import sys

from resonate_sdk import Context, Resonate, Workflow
from resonate_sdk.debug import history, replay


def reserve(ctx: Context, item: str) -> str:
    """A step."""
    return f"{item} is reserved"


def notify(ctx: Context, item: str) -> str:
    """Another step."""
    return f"told about {item}"


def order(ctx: Context, item: str) -> Workflow[str]:
    """What has run in production."""
    yield from ctx.run(reserve, item)
    return (yield from ctx.run(notify, item))


def same_order(ctx: Context, item: str) -> Workflow[str]:
    """Written otherwise, but it makes the same calls."""
    steps = [reserve, notify]
    said = ""
    for step in steps:
        said = yield from ctx.run(step, item)
    return said


def other_order(ctx: Context, item: str) -> Workflow[str]:
    """Looks harmless, and would leave every order that has begun stuck at its first step."""
    yield from ctx.run(notify, item)
    return (yield from ctx.run(reserve, item))


def main(id: str = "replayed-1") -> None:
    """Run an order, and replay its record with other code."""
    with Resonate(group="replayed") as resonate:
        resonate.register(order).run(id, "a teapot")
        recorded = history(resonate, id)
    for code in (order, same_order, other_order):
        report = replay(recorded, func=code)
        print(f"{code.__name__} {report.verdict}: {report.reason.partition(', but')[0]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
