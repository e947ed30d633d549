from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from resonate_broker import cron

BERLIN = ZoneInfo("Europe/Berlin")


def ms(
    year: int,
    month: int,
    day: int,
    hour: int = 0,
    minute: int = 0,
    *,
    zone: tzinfo = UTC,
    fold: int = 0,
) -> int:
    instant = datetime(year, month, day, hour, minute, tzinfo=zone, fold=fold)
    return int(instant.timestamp()) * 1_000


def test_the_next_instant_is_strictly_behind():
    on_the_minute = ms(2026, 3, 1, 12, 5)

    assert cron.next_ms("* * * * *", "UTC", on_the_minute) == on_the_minute + 60_000
    assert cron.next_ms("* * * * *", "UTC", on_the_minute - 1) == on_the_minute
    assert cron.next_ms("* * * * *", "UTC", on_the_minute + 999) == on_the_minute + 60_000


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("30 9 * * *", ms(2026, 3, 2, 9, 30)),
        ("0 0 1 * *", ms(2026, 4, 1)),
        ("0 0 * * SUN", ms(2026, 3, 8)),
        ("0 0 * * 7", ms(2026, 3, 8)),
        ("*/20 13-14 * * *", ms(2026, 3, 1, 13)),
        ("0 0 L * *", ms(2026, 3, 31)),
        ("0 0 29 2 *", ms(2028, 2, 29)),
        ("0 12 * JAN MON", ms(2027, 1, 4, 12)),
    ],
)
def test_expressions_have_their_usual_meaning(expression: str, found: int):
    assert cron.next_ms(expression, "UTC", ms(2026, 3, 1, 12, 5)) == found  # a Sunday


def test_an_expression_is_meant_in_its_time_zone():
    found = cron.next_ms("0 9 * * *", "Asia/Tokyo", ms(2026, 3, 1, 12))

    assert found == ms(2026, 3, 2)


def test_an_hour_that_the_clocks_skip_is_made_up_for_when_it_is_over():
    found = cron.between_ms(
        "30 2 * * *", "Europe/Berlin", ms(2026, 3, 28, 12), ms(2026, 3, 30, 12), 10
    )

    assert found == (ms(2026, 3, 29, 3, zone=BERLIN), ms(2026, 3, 30, 2, 30, zone=BERLIN))


def test_an_hour_that_comes_twice_counts_once():
    found = cron.between_ms(
        "30 2 * * *", "Europe/Berlin", ms(2026, 10, 24, 12), ms(2026, 10, 26, 12), 10
    )

    assert found == (ms(2026, 10, 25, 2, 30, zone=BERLIN), ms(2026, 10, 26, 2, 30, zone=BERLIN))


def test_whoever_looks_in_the_hour_that_comes_again_does_not_go_back():
    again = ms(2026, 10, 25, 2, 15, zone=BERLIN, fold=1)

    assert cron.next_ms("30 2 * * *", "Europe/Berlin", again) == ms(
        2026, 10, 26, 2, 30, zone=BERLIN
    )


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 * * * * *", "6 fields"),
        ("60 * * * *", "Bad minute"),
        ("* * * * MOO", "Bad day-of-week"),
        ("@daily", "1 fields"),
        ("0 0 30 2 *", "cannot be read"),
        ("0 0 29 2 MON#5", None),
    ],
)
def test_what_is_no_expression_is_refused_by_name(expression: str, words: str | None):
    if words is None:
        cron.check(expression, "UTC")
        return
    with pytest.raises(cron.CronError) as error:
        cron.check(expression, "UTC")

    assert repr(expression) in str(error.value)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "timezone", ["", "Mars/Olympus", "../etc/passwd", "America", "utc ", "CET+1"]
)
def test_a_time_zone_that_is_none_is_refused_by_name(timezone: str):
    with pytest.raises(cron.CronError, match="timezone"):
        cron.check("* * * * *", timezone)


def test_beyond_the_calendar_there_is_nothing():
    assert cron.next_ms("* * * * *", "UTC", 2**62) is None
    assert cron.next_ms("0 0 1 1 *", "Europe/Berlin", ms(9999, 12, 31)) is None


def test_no_more_instants_are_named_than_asked_for():
    start = ms(2026, 1, 1)

    found = cron.between_ms("* * * * *", "UTC", start, start + 86_400_000, 5)

    assert found == tuple(start + 60_000 * n for n in range(1, 6))


@pytest.mark.parametrize(
    ("expression", "latest"),
    [
        ("* * * * *", ms(2026, 3, 1, 12, 5)),
        ("0 0 * * *", ms(2026, 3, 1)),
        ("0 0 1 1 *", ms(2026, 1, 1)),
        ("0 0 29 2 *", ms(2024, 2, 29)),
    ],
)
def test_the_latest_instant_is_found_however_far_back_it_is(expression: str, latest: int):
    assert cron.latest_ms(expression, "UTC", 0, ms(2026, 3, 1, 12, 5)) == latest


def test_there_is_no_latest_instant_before_the_first():
    start = ms(2026, 3, 1, 12, 0)

    assert cron.latest_ms("0 0 * * *", "UTC", start, start + 3_600_000) is None


fields = st.lists(
    st.sampled_from(
        [
            "0",
            "1",
            "2",
            "5",
            "9",
            "15",
            "23",
            "29",
            "30",
            "31",
            "59",
            "60",
            "*",
            "*/",
            "*/5",
            "*/7",
            "1-3",
            "L",
            "LW",
            "5L",
            "#",
            "1#5",
            "MON",
            "SUN",
            "JAN",
            "/",
            "-",
            ",",
        ]
    ),
    min_size=1,
    max_size=3,
).map("".join)


@settings(derandomize=True, max_examples=500, deadline=None)
@given(
    st.lists(fields, min_size=4, max_size=6).map(" ".join) | st.text(max_size=30),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.integers(0, ms(2100, 1, 1)),
)
def test_any_text_is_an_expression_or_refused_and_its_instants_ascend(
    expression: str, timezone: str, start: int
):
    try:
        found = cron.between_ms(expression, timezone, start, start + 40 * 86_400_000, 5)
    except cron.CronError:
        return

    assert all(first < second for first, second in pairwise((start, *found)))


def test_an_instant_that_has_been_seen_to_is_not_the_latest_again():
    assert cron.latest_ms("* * * * *", "UTC", 60_000, 90_000) is None
    assert cron.latest_ms("* * * * *", "UTC", 59_999, 90_000) == 60_000
