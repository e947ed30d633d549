"""Instants of a calendar, as cron expressions name them in a time zone.

Pure: what time it is, the caller knows.
"""

import zoneinfo
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import islice

from cronsim import CronSim, CronSimError

FIELDS = 5
FIRST_MS = 0
STEPS_MAX = 100  # when clocks are set back, a few instants come before the one that is wanted
WINDOWS_MS = tuple(hours * 3_600_000 for hours in (1, 24, 32 * 24, 366 * 24, 50 * 366 * 24))


class CronError(ValueError):
    """An expression or a time zone is none, or its instants never come; the message says which."""


def check(cron: str, timezone: str) -> None:
    """Refuse an expression that names no instant.

    Raises:
        CronError: it has no meaning; the message says why.
    """
    if next_ms(cron, timezone, FIRST_MS) is None:
        raise CronError(f"cron {cron!r} names no instant that ever comes")


def next_ms(cron: str, timezone: str, after_ms: int) -> int | None:
    """The first instant behind another one, epoch ms; None if there is none within 50 years.

    Raises:
        CronError: the expression or the time zone has no meaning.
    """
    zone = _zone(timezone)
    fields = len(cron.split())
    if fields != FIELDS:
        raise CronError(f"cron {cron!r} has {fields} fields, it takes {FIELDS}")
    try:
        simulation = CronSim(cron, datetime.fromtimestamp(after_ms // 1_000, tz=zone))
        for instant in islice(simulation, STEPS_MAX):
            at_ms = int(instant.timestamp()) * 1_000
            if at_ms > after_ms:
                return at_ms
    except CronSimError as error:
        raise CronError(f"cron {cron!r} cannot be read: {error}") from error
    except (OverflowError, ValueError, OSError):
        return None  # beyond the calendar
    return None


def between_ms(
    cron: str, timezone: str, after_ms: int, until_ms: int, count_max: int
) -> tuple[int, ...]:
    """The instants behind one and up to another, earliest first, no more than `count_max`.

    Raises:
        CronError: the expression or the time zone has no meaning.
    """
    found: list[int] = []
    while len(found) < count_max:
        at_ms = next_ms(cron, timezone, found[-1] if found else after_ms)
        if at_ms is None or at_ms > until_ms:
            break
        found.append(at_ms)
    return tuple(found)


def latest_ms(cron: str, timezone: str, after_ms: int, until_ms: int) -> int | None:
    """The last instant behind one and up to another.

    It looks back further and further, so that a long time with many instants costs no more than
    its end.

    Raises:
        CronError: the expression or the time zone has no meaning.
    """
    at_ms: int | None = None
    for window_ms in WINDOWS_MS:
        from_ms = max(after_ms, until_ms - window_ms)
        following = next_ms(cron, timezone, from_ms)
        while following is not None and following <= until_ms:
            at_ms, following = following, next_ms(cron, timezone, following)
        if at_ms is not None or from_ms == after_ms:
            return at_ms
    return None


def _zone(timezone: str) -> tzinfo:
    if timezone == "UTC":
        return UTC
    if timezone not in _timezones():
        raise CronError(f"timezone {timezone!r} is not in the database: write one as Europe/Berlin")
    return zoneinfo.ZoneInfo(timezone)


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
