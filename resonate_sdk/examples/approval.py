"""A person decides: the workflow waits for a promise that somebody outside settles.

    python -m resonate_sdk.examples.approval [ID]

While it waits, nothing runs and nothing is held; it may wait for months. Here the decision comes
from the same program; `resonate promises resolve ID.1` or any client would do.
"""

import sys
from dataclasses import dataclass

from resonate_sdk import Context, Resonate, TimedOutError, Workflow

WEEK_S = 7 * 86_400


@dataclass
class Decision:
    """What the person says."""

    approved: bool
    by: str


def ask(ctx: Context, promise_id: str) -> None:
    """Send a mail with a link that settles the promise."""
    print(f"please decide about {promise_id}")


def purchase(ctx: Context, item: str) -> Workflow[str]:
    """Wait for a decision, a week at most."""
    promise = yield from ctx.promise(type=Decision, timeout=WEEK_S)
    yield from ctx.run(ask, promise.id)
    try:
        decision = yield from promise
    except TimedOutError:
        return f"nobody has decided about the {item}"
    return f"{item}: {'approved' if decision.approved else 'refused'} by {decision.by}"


def main(id: str = "purchase-1") -> None:
    """Ask, and decide."""
    with Resonate(group="approval") as resonate:
        handle = resonate.register(purchase).begin_run(id, "teapot")
        resonate.promises.create(f"{id}.1", expires_in=WEEK_S)  # it may come before the question
        resonate.promises.resolve(f"{id}.1", Decision(approved=True, by="Ada"))
        print(handle.result())


if __name__ == "__main__":
    main(*sys.argv[1:])
