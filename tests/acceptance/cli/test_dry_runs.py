"""`--dry-run`: what would become of something, and nothing becomes of it."""

import pytest

SCHEDULE = ("--cron", "0 9 * * *")
TRIGGER = ("--exchange", "amq.topic", "--routing-key", "k", "--func", "f", "--target", "g")


def foretold(result) -> str | None:
    assert result.document["dry_run"] is True
    return result.document["would_be"]


@pytest.mark.parametrize(
    ("create", "get"),
    [
        (("promises", "create", "-t", "1h"), ("promises", "get")),
        (("invoke", "--func", "f"), ("promises", "get")),
        (("schedules", "create", *SCHEDULE), ("schedules", "get")),
        (("triggers", "create", *TRIGGER), ("triggers", "get")),
    ],
    ids=lambda words: words[0],
)
def test_what_would_be_created_is_not_created(resonate, id, create, get):
    before = resonate(*create, id, "--dry-run", "--json")
    absent = resonate(*get, id)
    resonate(*create, id)
    after = resonate(*create, id, "--dry-run", "--json")

    assert (before.code, foretold(before)) == (0, "created")
    assert absent.code == 4
    assert (after.code, foretold(after)) == (0, None)


@pytest.mark.parametrize(
    ("verb", "word"), [("resolve", "resolved"), ("reject", "rejected"), ("cancel", "canceled")]
)
def test_what_would_be_settled_stays_pending(resonate, id, verb, word):
    absent = resonate("promises", verb, id, "--dry-run")
    resonate("promises", "create", id, "-t", "1h")
    pending = resonate("promises", verb, id, "--dry-run", "--json")
    lines = resonate("promises", verb, id, "--dry-run")
    shown = resonate("promises", "get", id, "--json")
    resonate("promises", verb, id)
    same = resonate("promises", verb, id, "--dry-run", "--json")
    other = resonate("promises", "cancel" if verb != "cancel" else "resolve", id, "--dry-run")

    assert absent.code == 4
    assert (pending.code, foretold(pending)) == (0, word)
    assert lines.out == f"{id} would be {word}\n"
    assert shown.document["state"] == "pending"
    assert (same.code, foretold(same)) == (0, None)
    assert (other.code, other.out) == (5, f"{id} would stay as it is\n")


@pytest.mark.parametrize(
    ("kind", "definition", "another"),
    [
        ("schedules", SCHEDULE, ("--cron", "1 9 * * *")),
        ("triggers", TRIGGER, (*TRIGGER, "--timeout", "1h")),
    ],
    ids=["schedules", "triggers"],
)
def test_what_would_be_deleted_or_refused_stays(resonate, id, kind, definition, another):
    absent = resonate(kind, "delete", id, "--dry-run")
    resonate(kind, "create", id, *definition)
    refused = resonate(kind, "create", id, *another, "--dry-run")
    deleted = resonate(kind, "delete", id, "--dry-run", "--json")
    shown = resonate(kind, "get", id)
    resonate(kind, "delete", id)

    assert absent.code == 4
    assert refused.code == 5
    assert foretold(deleted) == "deleted"
    assert shown.code == 0


def test_limits_that_would_be_set_are_not_set(resonate, id):
    group = id.replace("id-", "group-")

    wanted = resonate("groups", "set", group, "--concurrency", "3", "--dry-run")
    nothing = resonate("groups", "unset", group, "--dry-run", "--json")
    shown = resonate("groups", "get", group, "--json")

    assert wanted.out == f"{group} would be limited to 3 at a time, now no limits\n"
    assert foretold(nothing) is None
    assert shown.document["concurrency"] is None
