"""What can never come to an end is told, or at least does not run in circles."""

import pytest

from tests.acceptance.local.processes import script


@pytest.mark.parametrize(
    "what",
    ["own promise", "deep recursion", "number as tag", "empty id"],
)
def test_what_cannot_be_waited_for_or_made_is_told_to_the_function(what):
    with script("poison", what, "10") as poison:
        settled = poison.wait_for("settled")
        runs = int(poison.wait_for("runs"))

    assert settled != "no", f"it was begun {runs} times and nobody was told"
    assert runs <= 3


@pytest.mark.parametrize("what", ["exit", "missing promise", "internal promise"])
def test_what_is_given_back_is_given_back_ever_later(what):
    with script("poison", what, "3") as poison:
        poison.wait_for("settled")
        runs = int(poison.wait_for("runs"))

    assert runs <= 4  # the delays add up to one second, three, seven
