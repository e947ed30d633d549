"""`resonate groups`."""

import signal

import pytest

from tests.acceptance.cli.programs import running

LIMITS = {
    "concurrency": 3,
    "key_concurrency": None,
    "rate": None,
    "key_rate": None,
    "next_start_at_ms": None,
}


def test_limits_are_set_shown_listed_and_let_go(resonate, id):
    group = id.replace("id-", "group-")

    made = resonate("groups", "set", group, "--concurrency", "3", "--key-rate", "10/s")
    shown = resonate("groups", "get", group, "--json")
    listed = resonate("groups", "list", "--json")
    lines = resonate("groups", "list")
    gone = resonate("groups", "unset", group, "--json")
    after = resonate("groups", "get", group)

    assert made.code == shown.code == listed.code == gone.code == after.code == 0
    assert [line.split() for line in made.out.splitlines()] == [
        [group],
        ["limits", *["3", "at", "a", "time,", "10/s", "of", "a", "key"]],
        ["running", "0"],
    ]
    key_rate = {"count": 10, "per_ms": 1_000}
    document = {"name": group, **LIMITS, "key_rate": key_rate, "running": 0}
    assert shown.document == document
    assert {**document, "running": None} in listed.document["groups"]
    assert f"{group}  3 at a time, 10/s of a key\n" in lines.out
    assert gone.document == {"name": group, **LIMITS, "concurrency": None, "running": None}
    assert "none" in after.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["set", "g"], "give a limit"),
        (["set", "g", "--rate", "10"], "'10' is no rate: write 10/s, 100/m or 5/30s"),
        (["set", "g", "--rate", "10/x"], "'10/x' is no rate"),
        (["set", "g", "--rate", "0/s"], "'0/s' is out of range"),
        (["set", "g", "--rate", "5/2d"], "'5/2d' is out of range"),
        (["set", "g", "--concurrency", "-1"], "Invalid value for '--concurrency'"),
        (["get", "a b"], "'a b' is no group"),
    ],
)
def test_what_is_no_limit_is_a_mistake_in_usage(resonate, arguments, words):
    result = resonate("groups", *arguments, "--json")

    assert result.code == 2
    assert words in result.error["error"]


@pytest.mark.parametrize(
    ("text", "count", "per_ms"),
    [("5/30s", 5, 30_000), ("100/m", 100, 60_000), ("1/d", 1, 86_400_000)],
)
def test_rates_are_written_as_people_do(resonate, id, text, count, per_ms):
    group = id.replace("id-", "group-")

    result = resonate("groups", "set", group, "--rate", text, "--json")
    resonate("groups", "unset", group)

    assert result.document["rate"] == {"count": count, "per_ms": per_ms}


def test_the_limits_of_a_group_are_watched_until_somebody_stops_that(resonate, place, id):
    group = id.replace("id-", "group-")

    with running("groups", "get", group, "--watch", "--json", env=place) as watching:
        watching.wait_for('"concurrency":null')
        resonate("groups", "set", group, "--concurrency", "3")
        watching.wait_for('"concurrency":3')
        code = watching.end(signal.SIGINT)

    assert (code, watching.err) == (0, [])
    assert len(watching.out) == 2
