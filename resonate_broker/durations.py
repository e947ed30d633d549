"""Durations as people write them: `500ms`, `30s`, `1h30m`, `2d`."""

import re

UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
DURATION_DAYS_MAX = 36_500
HOW_TO_WRITE = "write 500ms, 30s, 15m, 1h30m or 2d"

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DURATION = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in UNITS_MS))
_BARE_NUMBER = re.compile(_NUMBER)


def parse_duration(text: str) -> int:
    """Read a duration, in milliseconds.

    Raises:
        ValueError: it is none; the message says how to write one.
    """
    if _BARE_NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} has no unit: {HOW_TO_WRITE}")
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"{text!r} is no duration: {HOW_TO_WRITE}")
    counts = zip(match.groups(), UNITS_MS.values(), strict=True)
    duration_ms = sum(float(count) * unit_ms for count, unit_ms in counts if count)
    if duration_ms > DURATION_DAYS_MAX * UNITS_MS["d"]:
        raise ValueError(f"{text!r} is too long, the limit is {DURATION_DAYS_MAX}d")
    if round(duration_ms) == 0:
        raise ValueError(f"{text!r} is no time at all: {HOW_TO_WRITE}")
    return round(duration_ms)
