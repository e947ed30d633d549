"""`resonate schedules`, against a server."""

import pytest

from resonate_sdk import AlreadyExistsError, Resonate

MINUTE_MS = 60_000


def test_a_schedule_is_created_shown_and_deleted(resonate, id):
    created = resonate(
        "schedules", "create", id, "--cron", "*/5 9-17 * * MON-FRI", "--timezone", "Asia/Tokyo",
        "--promise-param", '{"a": 1}', "--promise-tags", "team=sales", "--target", "reports",
        "--promise-timeout", "90s", "--overlap", "skip", "--missed", "latest",
    )  # fmt: skip
    shown = resonate("schedules", "get", id)
    deleted = resonate("schedules", "delete", id)
    gone = resonate("schedule", "get", id)

    assert (created.code, shown.code, deleted.code, gone.code) == (0, 0, 0, 4)
    assert created.out.startswith(
        f"{id}  (created)\n  cron      */5 9-17 * * MON-FRI  Asia/Tokyo\n"
    )
    assert "  promises  {{.id}}.{{.timestamp}}  deadline after 1m30s\n" in shown.out
    assert '  param     {"a":1}\n' in shown.out
    assert "  tags      resonate:target=amqp://any@reports  team=sales\n" in shown.out
    assert "  overlap   skip\n  missed    latest\n" in shown.out
    assert deleted.out == f"{id} deleted\n"
    assert created.err == shown.err == deleted.err == ""


def test_a_deleted_id_cannot_control_the_terminal(resonate, id):
    odd = f"{id}\x1b[31m\n"
    resonate("schedules", "create", odd, "--cron", "0 0 1 1 *")

    deleted = resonate("schedules", "delete", odd)

    assert deleted.out == f"{id}\\x1b[31m\\n deleted\n"


def test_with_json_a_schedule_is_one_document(resonate, id):
    created = resonate("schedules", "create", id, "--cron", "* * * * *", "--json")
    shown = resonate("schedules", "get", id, "--json")

    assert created.document == {**shown.document, "same": True}
    assert shown.document["next_run_at_ms"] % MINUTE_MS == 0
    assert 0 < shown.document["next_run_at_ms"] - shown.document["created_at_ms"] <= MINUTE_MS
    assert shown.document["last_run_at_ms"] is None
    assert shown.document["promise_timeout_ms"] == 86_400_000
    resonate("schedules", "delete", id)


def test_creating_again_is_harmless_and_another_definition_is_told(resonate, id):
    resonate("schedules", "create", id, "--cron", "0 0 1 1 *")

    again = resonate("schedules", "create", id, "--cron", "0 0 1 1 *")
    other = resonate("schedules", "create", id, "--cron", "0 0 2 1 *")

    assert (again.code, other.code) == (0, 5)
    assert "another definition" in other.err
    assert "0 0 1 1 *" in other.out


def test_schedules_are_found_by_the_tags_of_their_promises(resonate, id):
    for number in (1, 2, 3):
        name = f"{id}-{number}"
        resonate(
            "schedules", "create", name, "--cron", "0 0 1 1 *", "--promise-tags", f"of={id}"
        )  # fmt: skip

    first = resonate("schedules", "search", "--tags", f"of={id}", "--limit", "2", "--json")
    cursor = first.document["cursor"]
    rest = resonate("schedules", "search", "--tags", f"of={id}", "--cursor", cursor)

    assert [found["id"] for found in first.document["schedules"]] == [f"{id}-1", f"{id}-2"]
    assert rest.out.splitlines()[1].startswith(f"{id}-3  0 0 1 1 *  UTC   ")


def test_a_call_is_scheduled_as_the_sdk_does_it(resonate, place, id):
    calendar = "0 0 1 1 *"
    created = resonate(
        "schedules", "create", id, "--cron", calendar, "--func", "report", "--arg", "7",
        "--json-args", '{"to": "sales"}', "--version", "2", "--target", "billing",
    )  # fmt: skip

    client = Resonate(url=place["RESONATE_URL"], namespace=place["RESONATE_NAMESPACE"])
    with client:
        there = client.options(target="billing", version=2)
        assert there.schedule(id, calendar, "report", 7, to="sales").id == id, "it is the same"
        with pytest.raises(AlreadyExistsError):
            there.schedule(id, calendar, "report", 8, to="sales")

    assert created.code == 0
    assert "resonate:target=amqp://any@billing" in created.out
    resonate("schedules", "delete", id)


def test_a_call_without_a_target_is_for_the_group_default(resonate, id):
    created = resonate(
        "schedules", "create", id, "--cron", "0 0 1 1 *", "--func", "report", "--json"
    )

    assert created.document["promise_tags"]["resonate:target"] == "amqp://any@default"
    resonate("schedules", "delete", id)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--arg", "1"], "name it by --func"),
        (["--json-args", "[]"], "name it by --func"),
        (["--version", "2"], "name it by --func"),
        (["--func", "f", "--promise-param", "1"], "give one of them"),
        (["--func", "f", "--arg", "1", "--json-args", "[2]"], "both give arguments by position"),
    ],
)
def test_what_a_schedule_calls_is_said_once(resonate, id, options, told):
    refused = resonate("schedules", "create", id, "--cron", "0 0 1 1 *", *options)

    assert refused.code == 2
    assert told in " ".join(refused.err.replace("│", " ").split())
    assert resonate("schedules", "get", id).code == 4


def test_what_no_calendar_has_is_refused_by_the_server(resonate, id):
    refused = resonate("schedules", "create", id, "--cron", "61 * * * *")

    assert refused.code == 1
    assert "cron '61 * * * *'" in refused.err


def test_a_schedule_that_does_not_exist_is_not_found(resonate, id):
    for verb in ("get", "delete"):
        missing = resonate("schedules", verb, id)

        assert missing.code == 4
        assert repr(id) in missing.err
