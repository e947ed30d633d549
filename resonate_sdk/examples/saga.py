"""A trip is booked whole or not at all: what was booked is undone, last first, when a step fails.

    python -m resonate_sdk.examples.saga [ID] [WHAT_FAILS]

WHAT_FAILS is `flight`, `hotel` or `car`. Undoing survives crashes like everything else.
"""

import sys

from resonate_sdk import Context, Never, Resonate, Workflow


class SoldOutError(Exception):
    """There is nothing left to book."""


def book(ctx: Context, what: str, failing: str) -> str:
    """Book one part; the id of the promise would be the key that makes it idempotent."""
    if what == failing:
        raise SoldOutError(f"no {what} left")
    print(f"booked a {what}")
    return f"{what}-{ctx.id}"


def cancel(ctx: Context, booking: str) -> None:
    """Undo one part."""
    print(f"canceled {booking}")


def trip(ctx: Context, failing: str = "") -> Workflow[str]:
    """Book the parts of a trip; compensation is ordinary Python."""
    booked: list[str] = []
    try:
        for what in ("flight", "hotel", "car"):
            booking = yield from ctx.run(book, what, failing).options(retry_policy=Never())
            booked.append(booking)
    except SoldOutError as error:
        for booking in reversed(booked):
            yield from ctx.run(cancel, booking)
        return f"no trip: {error}"
    return f"a trip: {len(booked)} bookings"


def main(id: str = "trip-1", failing: str = "car") -> None:
    """Try to book a trip."""
    with Resonate(group="saga") as resonate:
        print(resonate.register(trip).run(id, failing))


if __name__ == "__main__":
    main(*sys.argv[1:])
