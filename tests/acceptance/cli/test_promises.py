"""`resonate promises`, against a server."""

import pytest


def test_a_promise_is_created_shown_and_resolved(resonate, id):
    created = resonate(
        "promises", "create", id, "-t", "1h", "--param", '{"order": 17}', "--tags", "team=sales"
    )
    shown = resonate("promises", "get", id)
    resolved = resonate("promises", "resolve", id, "--value", '["done"]')

    assert (created.code, shown.code, resolved.code) == (0, 0, 0)
    assert created.out.startswith(f"{id}  🟡 pending (created)\n")
    assert '  param     {"order":17}\n  tags      team=sales\n' in shown.out
    assert resolved.out.startswith(f"{id}  🟢 resolved\n")
    assert '  value     ["done"]\n' in resolved.out
    assert created.err == shown.err == resolved.err == ""


def test_with_json_a_promise_is_one_document(resonate, id):
    created = resonate(
        "promises", "create", id, "-t", "90s", "--param", "1", "--tags", "a=b=c", "--json"
    )
    resolved = resonate("promise", "resolve", id, "--value", '"ü"', "--json")

    assert created.document["created"] is True
    assert created.document["timeout_at_ms"] - created.document["created_at_ms"] == pytest.approx(
        90_000, abs=5_000
    )
    assert resolved.document == {
        **{k: v for k, v in created.document.items() if k != "created"},
        "state": "resolved",
        "param": 1,
        "value": "ü",
        "tags": {"a": "b=c", "resonate:scope": "global", "resonate:external": "true"},
        "settled_at_ms": resolved.document["settled_at_ms"],
    }
    assert created.err == resolved.err == ""


def test_creating_again_changes_nothing(resonate, id):
    first = resonate("promises", "create", id, "-t", "1h", "--param", "1", "--json")

    again = resonate("promises", "create", id, "-t", "2h", "--param", "1", "--json")
    with_other_data = resonate("promises", "create", id, "-t", "1h", "--param", "2")

    assert again.code == with_other_data.code == 0
    assert again.document == {**first.document, "created": False}
    assert "pending (exists already, created with other data)" in with_other_data.out


def test_settling_again_in_the_same_state_is_harmless(resonate, id):
    resonate("promises", "create", id, "-t", "1h")
    first = resonate("promises", "resolve", id, "--value", "1", "--json")

    again = resonate("promises", "resolve", id, "--value", "1", "--json")
    with_another_value = resonate("promises", "resolve", id, "--value", "2")

    assert again.code == with_another_value.code == 0
    assert again.document == first.document
    assert "resolved (it was already, with another value)" in with_another_value.out
    assert "  value     1\n" in with_another_value.out


@pytest.mark.parametrize(
    ("first", "state", "second", "words"),
    [
        ("resolve", "resolved", "reject", "resolved already, not rejected"),
        ("reject", "rejected", "cancel", "rejected already, not canceled"),
        ("cancel", "rejected_canceled", "resolve", "canceled already, not resolved"),
    ],
)
def test_settling_in_another_state_shows_the_promise_and_fails(
    resonate, id, first, state, second, words
):
    resonate("promises", "create", id, "-t", "1h")
    settled = resonate("promises", first, id, "--json")

    refused = resonate("promises", second, id, "--json")

    assert settled.code == 0
    assert settled.document["state"] == state
    assert refused.code == 5
    assert refused.document == settled.document
    assert refused.error == {"error": f"promise '{id}' is {words}", "exit_code": 5}


@pytest.mark.parametrize("verb", ["get", "resolve", "reject", "cancel"])
def test_a_promise_that_is_not_there_is_not_found(resonate, id, verb):
    result = resonate("promises", verb, id)

    assert result.code == 4
    assert result.out == ""
    assert result.err == f"Error: no promise '{id}'\n"


def test_with_json_not_found_is_a_document_on_standard_error(resonate, id):
    result = resonate("promises", "get", id, "--json")

    assert result.code == 4
    assert result.out == ""
    assert result.error == {"error": f"no promise '{id}'", "exit_code": 4}


def test_a_promise_past_its_deadline_has_timed_out(resonate, id):
    resonate("promises", "create", id, "-t", "1ms")

    result = resonate("promises", "resolve", id)

    assert result.code == 5
    assert "🔴 timed out" in result.out
    assert "is timed out already, not resolved" in result.err


def test_what_the_server_refuses_is_refused(resonate, id):
    tags = [part for n in range(64) for part in ("--tags", f"k{n}=v")]

    result = resonate("promises", "create", id, "-t", "1h", *tags)

    assert result.code == 2
    assert result.err == "Error: 65 tags, the limit is 64\n"


def test_promises_are_found_by_state_and_tags(resonate, id):
    for number in (1, 2, 3):
        resonate("promises", "create", f"{id}-{number}", "-t", "1h", "--tags", f"of={id}")
    resonate("promises", "resolve", f"{id}-2")

    pending = resonate("promises", "search", "--tags", f"of={id}", "--state", "pending")
    first = resonate("promises", "search", "--tags", f"of={id}", "--limit", "2", "--json")
    rest = resonate(
        "promises", "search", "--tags", f"of={id}", "--cursor", first.document["cursor"]
    )
    none = resonate("promises", "search", "--tags", f"of={id}x")

    assert [line.split()[:2] for line in pending.out.splitlines()] == [
        ["ID", "STATE"],
        [f"{id}-1", "pending"],
        [f"{id}-3", "pending"],
    ]
    assert [found["id"] for found in first.document["promises"]] == [f"{id}-1", f"{id}-2"]
    assert [line.split()[0] for line in rest.out.splitlines()] == ["ID", f"{id}-3"]
    assert none.out == "none found\n"
