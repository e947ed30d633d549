"""A report at the instants of a calendar: the server starts it, whoever of the group runs it.

    python -m resonate_sdk.examples.report [ID]

Run it again: a schedule is made once, and saying the same again does nothing. Each instant has its
execution once, however many servers and workers there are; what was missed while no server ran is
made up for. Here the schedule is deleted at the end, and one report is run by hand.
"""

import sys

from resonate_sdk import Context, Resonate, Workflow

EVERY_MORNING = "0 6 * * 1-5"


def count_orders(ctx: Context, region: str) -> int:
    """Ask a database."""
    return len(region)


def send(ctx: Context, text: str) -> str:
    """Send a mail."""
    return f"sent: {text}"


def report(ctx: Context, region: str) -> Workflow[str]:
    """Make one report."""
    orders = yield from ctx.run(count_orders, region)
    return (yield from ctx.run(send, f"{orders} orders in the {region}"))


def main(id: str = "report-1") -> None:
    """Make the schedule twice, which is once, and look at it."""
    with Resonate(group="reports") as resonate:
        function = resonate.register(report)
        schedule = function.schedule(f"{id}-daily", EVERY_MORNING, "north")
        again = function.schedule(f"{id}-daily", EVERY_MORNING, "north")
        print(f"the next one is at the same instant: {schedule.next_run == again.next_run}")
        print(f"it has run {len(list(schedule.runs()))} times")
        schedule.delete()
        print(function.run(f"{id}-by-hand", "north"))


if __name__ == "__main__":
    main(*sys.argv[1:])
