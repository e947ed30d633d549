"""Fan-out and fan-in: four messages at the same time; a channel that fails is tried again alone.

python -m resonate_sdk.examples.notifications [ID]
"""

import sys

from resonate_sdk import Constant, Context, Resonate, Workflow

CHANNELS = ("email", "sms", "slack", "push")


def send(ctx: Context, channel: str, text: str) -> str:
    """Send a message over one channel; `push` does not work at the first attempt."""
    if channel == "push" and ctx.info.attempt == 1:
        raise ConnectionError("push is down")
    return f"{channel}: {text}"


def notify(ctx: Context, text: str) -> Workflow[list[str]]:
    """Begin all, then wait for all."""
    retry = Constant(delay=0.1)
    calls = [ctx.run(send, channel, text).options(retry_policy=retry) for channel in CHANNELS]
    return (yield from ctx.all(calls))


def main(id: str = "notifications-1") -> None:
    """Notify everywhere."""
    with Resonate(group="notifications") as resonate:
        for line in resonate.register(notify).run(id, "the build is green"):
            print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
