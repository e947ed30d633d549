"""What a shell gets when somebody presses TAB."""

import pytest

from tests.acceptance.cli.programs import run, run_here


def complete(env, *words, run=run_here):
    """What is offered for the last word, and whatever else was printed."""
    asked = {
        "_RESONATE_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("resonate", *words)),
        "COMP_CWORD": str(len(words)),
    }
    result = run(env={**env, **asked})
    return result.out.split(), result.err


def test_commands_are_completed(place):
    assert complete(place, "topology", "ex", run=run) == (["export"], "")


@pytest.mark.parametrize(
    "command", [("why",), ("tree",), ("promises", "resolve"), ("tasks", "get")]
)
def test_ids_are_completed(resonate, place, id, command):
    for name in (f"{id}-1", f"{id}-2"):
        resonate("promises", "create", name, "-t", "1h")

    assert complete(place, *command, f"{id}-") == ([f"{id}-1", f"{id}-2"], "")


@pytest.mark.parametrize(
    ("create", "command"),
    [
        (("schedules", "create", "{}", "--cron", "0 9 * * *"), ("schedules", "delete")),
        (
            ("triggers", "create", "{}", "--exchange", "amq.topic", "--routing-key", "k",
             "--func", "f", "--target", "g"),
            ("triggers", "get"),
        ),
        (("groups", "set", "{}", "--concurrency", "1"), ("groups", "unset")),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_names_of_other_things_are_completed(resonate, place, id, create, command):
    made = [resonate(*(word.format(f"{id}-{n}") for word in create)) for n in (1, 2)]
    offered = complete(place, *command, f"{id}-")
    for number in (1, 2):
        resonate(create[0], "unset" if create[0] == "groups" else "delete", f"{id}-{number}")

    assert [each.code for each in made] == [0, 0]
    assert offered == ([f"{id}-1", f"{id}-2"], "")


@pytest.mark.parametrize("url", ["amqp://127.0.0.1:1/", "nonsense"])
def test_without_a_server_nothing_is_offered_and_nothing_said(place, url):
    assert complete({**place, "RESONATE_URL": url}, "why", "a") == ([], "")
