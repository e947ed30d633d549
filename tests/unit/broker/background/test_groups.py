"""Knowing which groups have limits, and when places in them can be given."""

from collections.abc import Sequence

import pytest

from resonate_broker.background.groups import GroupWatch, Limited
from resonate_broker.kernel.submissions import Adopt, Commit, Failed, Load, ReadGroups, Spawn
from resonate_store.state import Group
from tests.unit.broker.builders import make_state


class Watched:
    """A watch, what it has found out, and how often tasks could go on that account."""

    def __init__(self) -> None:
        self.limited = Limited()
        self.ready_count = 0
        self.watch = GroupWatch(self.limited, self._ready)

    def _ready(self) -> None:
        self.ready_count += 1

    def run(self, *names: str, failing: Sequence[str] = ()) -> list[str]:
        """One run that finds these groups; which ones were adopted."""
        body = self.watch.run()
        assert body.send(None) == ReadGroups()
        adopted: list[str] = []
        try:
            submission = body.send(tuple(Group(name=name) for name in names))
            while True:
                assert isinstance(submission, Spawn)
                (make,) = submission.bodies
                batch = make()
                assert batch.send(None) == Load()
                assert batch.send(make_state()) == Commit()
                submission = body.send(None)
                assert isinstance(submission, Adopt)
                adopted.append(submission.group)
                is_failing = submission.group in failing
                submission = body.send(Failed("away") if is_failing else None)
        except StopIteration:
            return adopted


def test_until_they_have_been_read_every_group_may_have_limits():
    watched = Watched()
    assert watched.limited.has("g")
    assert not watched.limited.is_ready("g")

    watched.run()

    assert not watched.limited.has("g")
    assert watched.ready_count == 1


def test_what_a_group_had_before_counts_before_places_are_given_once():
    watched = Watched()

    assert watched.run("a", "b") == ["a", "b"]
    assert watched.limited.is_ready("a")
    assert watched.run("a", "b", "c") == ["c"]
    assert watched.run("a", "b", "c") == []
    assert watched.ready_count == 2


def test_what_could_not_be_adopted_is_adopted_another_time():
    watched = Watched()

    watched.run("a", failing=["a"])
    assert not watched.limited.is_ready("a")

    assert watched.run("a") == ["a"]
    assert watched.limited.is_ready("a")


def test_a_group_that_was_let_go_meanwhile_begins_anew():
    watched = Watched()
    watched.run("a")
    watched.run()

    assert not watched.limited.has("a")
    assert watched.run("a") == ["a"]


def test_a_database_that_is_away_changes_nothing():
    watched = Watched()
    watched.run("a")
    body = watched.watch.run()
    body.send(None)

    with pytest.raises(StopIteration):
        body.send(Failed("away"))

    assert watched.limited.has("a")
    assert not watched.limited.has("b")
