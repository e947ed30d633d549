"""When a step that fails is run again: four policies, and two ways for the step to decide.

    python -m resonate_sdk.examples.retries [ID]

Without a policy a step is repeated until its deadline, after 2, 4, 8, 16, 30, 30 … seconds. A
function that calls others is not repeated: its steps are.
"""

import sys
from collections.abc import Mapping

from resonate_sdk import (
    Constant,
    Context,
    Exponential,
    Linear,
    Never,
    NonRetryable,
    Resonate,
    RetryAfter,
    Workflow,
)
from resonate_sdk.retry import RetryPolicy

POLICIES: Mapping[str, RetryPolicy] = {
    "constant": Constant(delay=0.01, max_retries=3),
    "linear": Linear(delay=0.01, max_retries=3),
    "exponential": Exponential(delay=0.01, factor=2, max_delay=1, max_retries=3),
    "never": Never(),
}


def flaky(ctx: Context, working_attempt: int) -> str:
    """Fail until an attempt works."""
    if ctx.info.attempt < working_attempt:
        raise ConnectionError(f"attempt {ctx.info.attempt} did not work")
    return f"attempt {ctx.info.attempt} worked"


def asks_for_time(ctx: Context) -> str:
    """Know better than any policy when to come back, as a server does that says Retry-After."""
    if ctx.info.attempt == 1:
        raise RetryAfter(0.01)
    return f"attempt {ctx.info.attempt} worked"


def gives_up(ctx: Context) -> str:
    """Know that no further attempt will help."""
    raise NonRetryable("this account is closed")


def compare(ctx: Context) -> Workflow[list[str]]:
    """Run a step under each policy, and say what became of it."""
    lines: list[str] = []
    for name, policy in POLICIES.items():
        call = ctx.run(flaky, 3).options(retry_policy=policy)
        try:
            lines.append(f"{name}: {yield from call}")
        except ConnectionError as error:
            lines.append(f"{name}: {error}")
    lines.append(f"RetryAfter: {yield from ctx.run(asks_for_time)}")
    try:
        yield from ctx.run(gives_up)
    except NonRetryable as error:
        lines.append(f"NonRetryable: {error}")
    return lines


def main(id: str = "retries-1") -> None:
    """Show what each policy makes of it."""
    with Resonate(group="retries") as resonate:
        for line in resonate.register(compare).run(id):
            print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
