"""A chain of services, each of which waits for the next: `a` calls `b`, which calls `c`.

    python -m resonate_sdk.examples.await_chain [ID] [SECONDS]

`b` begins the call of `c`, sleeps, and then waits for the result. Whoever is killed meanwhile goes
on where it was: `c` is called once, and the pause is not slept again.
"""

import sys

from resonate_sdk import Context, Workflow
from resonate_sdk.examples.services import started


def a(ctx: Context, seconds: float) -> Workflow[str]:
    """Wait for `b`, which may take days."""
    found: str = yield ctx.rpc("b", seconds).options(target="service-b")
    return f"a got {found}"


def b(ctx: Context, seconds: float) -> Workflow[str]:
    """Do something else while `c` works."""
    promise = yield ctx.begin_rpc("c").options(target="service-c")
    yield ctx.sleep(seconds)
    found: int = yield promise
    return f"b's {found}"


def c(ctx: Context) -> int:
    """The end of the chain."""
    return 42


SERVICES = {"service-a": a, "service-b": b, "service-c": c}


def main(id: str = "await-chain-1", seconds: str = "0.1") -> None:
    """Call the first of them."""
    with started(SERVICES) as client:
        print(client.options(target="service-a").rpc(id, "a", float(seconds)))


if __name__ == "__main__":
    main(*sys.argv[1:])
