"""The smallest durable program: two functions, one of which calls the other.

    python -m resonate_sdk.examples.hello [ID]

It runs in one process, with nothing installed; with RESONATE_URL set, on the server there. The id
is what makes a call itself: the second call with it gives the stored result and runs nothing.
"""

import sys

from resonate_sdk import Context, Resonate, Workflow


def greeting(ctx: Context, name: str) -> str:
    """A step: plain Python, run once and remembered."""
    print(f"making a greeting for {name}")
    return f"Hello {name}!"


def hello(ctx: Context, name: str) -> Workflow[str]:
    """A workflow: what it yields survives a crash."""
    text = yield from ctx.run(greeting, name)
    return text


def main(id: str = "hello-1") -> None:
    """Say hello twice under one id."""
    with Resonate(group="hello") as resonate:
        function = resonate.register(hello)
        print(function.run(id, "World"))
        print(function.run(id, "World"))


if __name__ == "__main__":
    main(*sys.argv[1:])
