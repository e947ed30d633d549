"""`resonate invoke`, against a server and a worker."""

import signal

import pytest

from resonate_sdk import Resonate
from tests.acceptance.cli.programs import running


def test_a_call_is_made_and_its_result_waited_for(resonate, group, id):
    result = resonate("invoke", id, "-f", "greet", "--arg", "World", "--target", group, "--wait")

    assert result.code == 0
    assert result.out.startswith(f"{id}  🟢 resolved (created)\n")
    assert '  call      greet("World")\n  target    group workers\n' in result.out
    assert '  value     "Hello World"\n' in result.out
    assert result.err in ("", f"{id}: created, waiting for the result\n")


def test_an_id_cannot_control_the_terminal_while_its_result_is_waited_for(resonate, id):
    call = ("-f", "greet", "--target", "nobody", "--wait", "0.01")

    waited = resonate("invoke", f"{id}\x1b[31m\n", *call)

    assert waited.code == 5
    assert waited.err.startswith(f"{id}\\x1b[31m\\n: created, waiting for the result\nError: ")


def test_arguments_go_by_position_and_by_name(resonate, group, id):
    result = resonate(
        *("invoke", id, "-f", "greet", "--arg", "17", "--json-args", '{"greeting": "Hi"}'),
        *("--target", f"poll://any@{group}", "--wait", "30", "--json"),
    )

    assert result.code == 0
    assert result.document["value"] == "Hi 17"
    assert result.document["created"] is True
    assert result.document["param"] == {
        "func": "greet",
        "args": [17],
        "kwargs": {"greeting": "Hi"},
        "version": 1,
    }
    assert result.err == ""


def test_an_sdk_waits_for_what_the_command_line_has_called(resonate, place, group, id):
    resonate("invoke", id, "-f", "greet", "--json-args", '["SDK"]', "--target", group)

    with Resonate.remote(
        place["RESONATE_URL"], namespace=place["RESONATE_NAMESPACE"], group="somebody"
    ) as client:
        assert client.get(id).result(30) == "Hello SDK"


def test_an_id_that_exists_is_shown_and_not_called_again(resonate, group, id):
    first = resonate(
        "invoke", id, "-f", "greet", "--arg", "A", "--target", group, "--wait", "--json"
    )

    again = resonate("invoke", id, "-f", "greet", "--arg", "A", "--target", group, "--json")
    differently = resonate("invoke", id, "-f", "greet", "--arg", "B", "--target", group, "--wait")

    assert again.code == differently.code == 0
    assert again.document == {**first.document, "created": False}
    assert "resolved (exists already, created with other data)" in differently.out
    assert '  value     "Hello A"\n' in differently.out


def test_a_call_that_fails_is_refused_when_it_is_waited_for(resonate, group, id):
    call = ("invoke", id, "-f", "fail", "--arg", "no stock", "--target", group)

    waited = resonate(*call, "--wait", "--json")
    looked_at = resonate(*call)

    assert waited.code == 1
    assert waited.document["state"] == "rejected"
    assert waited.error == {
        "error": f"promise '{id}' was rejected: ValueError: no stock",
        "exit_code": 1,
    }
    assert looked_at.code == 0
    assert "  error     ValueError: no stock\n" in looked_at.out


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (("promises", "cancel"), "was canceled"),
        (("promises", "reject", "--value", '"no stock"'), "was rejected"),
        (("promises", "get"), "was timed out"),
    ],
)
def test_whatever_ended_without_a_value_is_refused_when_it_is_waited_for(resonate, id, end, words):
    call = ("invoke", id, "-f", "greet", "--target", "nobody")
    resonate(*call, "--timeout", "1ms" if "get" in end else "1h")
    resonate(*end, id)

    waited = resonate(*call, "--wait")

    assert waited.code == 1
    assert f"promise '{id}' {words}" in waited.err
    assert "waiting for the result" not in waited.err


@pytest.mark.parametrize(("wait", "waited"), [("0.1", "100ms"), ("0", "0ms")])
def test_a_call_that_is_not_done_in_time_is_in_another_state(resonate, id, wait, waited):
    result = resonate("invoke", id, "-f", "greet", "--target", "nobody", "--wait", wait, "--json")

    assert result.code == 5
    assert result.document["state"] == "pending"
    assert result.error == {
        "error": f"promise '{id}' is still pending after {waited}",
        "exit_code": 5,
    }


def test_a_call_may_be_delayed(resonate, id):
    result = resonate("invoke", id, "-f", "greet", "-t", "1h", "--delay", "30m", "--json")

    document = result.document
    due_at_ms = int(document["tags"]["resonate:delay"])
    assert result.code == 0
    assert document["timeout_at_ms"] - due_at_ms == 3_600_000
    assert abs(due_at_ms - document["created_at_ms"] - 1_800_000) < 10_000
    assert "starts in 29m" in resonate("tree", id).out


def test_a_call_waits_for_a_year_by_default(resonate, id):
    document = resonate("invoke", id, "-f", "greet", "--target", "nobody", "--json").document

    days = (document["timeout_at_ms"] - document["created_at_ms"]) / 86_400_000
    assert round(days) == 365


def test_who_stops_waiting_does_not_stop_the_call(resonate, place, id):
    id = f"{id} of a shop"
    with running("invoke", id, "-f", "x", "--target", "nobody", "--wait", env=place) as command:
        command.wait_for("waiting for the result")

        code = command.end(signal.SIGINT)

    assert code == 130
    assert command.out == []
    assert command.err[1:] == [
        f"Error: interrupted; what was created goes on: resonate tree '{id}'"
    ]
    assert resonate("promises", "get", id, "--json").document["state"] == "pending"
