"""A function does not end before everything that it has begun: nothing is left running.

python -m resonate_sdk.examples.structure [ID]
"""

import sys

from resonate_sdk import Context, Resonate, Workflow


def child(ctx: Context, name: str) -> str:
    """Something that is begun and not awaited."""
    print(f"{name} has ended")
    return name


def parent(ctx: Context) -> Workflow[str]:
    """Begin two children and return: the result is there when both have ended."""
    yield ctx.begin_run(child, "first")
    yield ctx.begin_rpc("child", "second")
    return "the parent's result"


def main(id: str = "structure-1") -> None:
    """Show in which order they end."""
    with Resonate(group="structure") as resonate:
        resonate.register(child)
        print(resonate.register(parent).run(id))


if __name__ == "__main__":
    main(*sys.argv[1:])
