"""The calendar of the reference model: UTC, and expressions that say nothing about days."""

import re

MINUTE_MS = 60_000
MINUTES_PER_DAY = 1_440
_FIELD = re.compile(r"\*|\*/([1-9]\d?)|(\d{1,2})")


def next_minute(cron: str, after_ms: int) -> int | None:
    """The first instant behind another one; None if the expression has no meaning here."""
    fields = cron.split()
    if len(fields) != 5 or fields[2:] != ["*", "*", "*"]:
        return None
    minutes, hours = _values(fields[0], 60), _values(fields[1], 24)
    if not minutes or not hours:
        return None
    first = after_ms // MINUTE_MS + 1
    for minute in range(first, first + MINUTES_PER_DAY + 1):
        hour, of_hour = divmod(minute % MINUTES_PER_DAY, 60)
        if of_hour in minutes and hour in hours:
            return minute * MINUTE_MS
    return None


def _values(field: str, count: int) -> set[int]:
    match = _FIELD.fullmatch(field)
    if match is None:
        return set()
    if match[2] is not None:
        return {int(match[2])} & set(range(count))
    return set(range(0, count, int(match[1] or 1)))
