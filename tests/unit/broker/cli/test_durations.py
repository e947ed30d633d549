import pytest
from hypothesis import given, strategies

from resonate_broker.cli.durations import format_duration
from resonate_broker.durations import DURATION_DAYS_MAX, UNITS_MS, parse_duration

COUNTS = strategies.integers(min_value=1, max_value=59)


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("500ms", 500),
        ("30s", 30_000),
        ("15m", 900_000),
        ("1h30m", 5_400_000),
        ("2d", 172_800_000),
        ("1.5s", 1_500),
        ("0.5h", 1_800_000),
        ("1d2h3m4s5ms", 93_784_005),
        (f"{DURATION_DAYS_MAX}d", DURATION_DAYS_MAX * 86_400_000),
    ],
)
def test_a_duration_is_a_number_with_a_unit_or_several(text, duration_ms):
    assert parse_duration(text) == duration_ms


@pytest.mark.parametrize("text", ["30", "0", "1.5"])
def test_a_bare_number_is_refused_with_how_to_write_it(text):
    with pytest.raises(ValueError, match=r"has no unit: write 500ms, 30s, 15m, 1h30m or 2d$"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-1s", "+1s", "1 s", "30m1h", "1s1s", "1w", "5S", "1h30", "٣s", "1e3s", ".5s"],
)
def test_everything_else_is_refused(text):
    with pytest.raises(ValueError, match="is no duration: write 500ms"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0ms", "0d0h", "0.4ms"])
def test_no_time_at_all_is_refused(text):
    with pytest.raises(ValueError, match="is no time at all"):
        parse_duration(text)


@pytest.mark.parametrize("text", [f"{DURATION_DAYS_MAX}d1ms", "9" * 400 + "d"])
def test_more_than_a_deadline_can_hold_is_refused(text):
    with pytest.raises(ValueError, match="is too long, the limit is 36500d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (-5, "0ms"),
        (0, "0ms"),
        (999, "999ms"),
        (1_000, "1s"),
        (1_299, "1.2s"),
        (59_999, "59.9s"),
        (60_000, "1m"),
        (185_000, "3m5s"),
        (3_605_000, "1h"),
        (5_400_000, "1h30m"),
        (86_400_000, "1d"),
        (31_535_999_000, "364d23h"),
    ],
)
def test_a_duration_is_written_with_two_units_at_most(duration_ms, text):
    assert format_duration(duration_ms) == text


@given(unit=strategies.sampled_from(["d", "h", "m"]), count=COUNTS)
def test_what_is_written_can_be_read(unit, count):
    duration_ms = count * UNITS_MS[unit]

    assert parse_duration(format_duration(duration_ms)) == duration_ms
