"""Two versions of a function beside each other: what has begun with the first ends with it.

python -m resonate_sdk.examples.versions [ID]
"""

import sys

from resonate_sdk import Context, Resonate, Workflow


def step(ctx: Context, text: str) -> str:
    """Something that both versions do."""
    return text.upper()


def report_v1(ctx: Context, text: str) -> Workflow[str]:
    """The old way: keep it registered until no execution needs it any more."""
    return (yield from ctx.run(step, text))


def report_v2(ctx: Context, text: str) -> Workflow[str]:
    """The new way makes other calls: as another version, it meets only executions of its own."""
    yield from ctx.sleep(0.01)
    shouted = yield from ctx.run(step, text)
    return f"{shouted}!"


def main(id: str = "report-1") -> None:
    """Run both versions."""
    with Resonate(group="versions") as resonate:
        resonate.register(report_v1, name="report", version=1)
        resonate.register(report_v2, name="report", version=2)
        print(resonate.options(version=1).run(f"{id}-old", "report", "done"))
        print(resonate.run(f"{id}-new", "report", "done"))


if __name__ == "__main__":
    main(*sys.argv[1:])
