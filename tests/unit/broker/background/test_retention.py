"""The walk of retention: it comes around, whatever it finds on its way."""

from collections.abc import Callable

from resonate_broker.background.retention import PARTS_PER_RUN, ROWS_PER_PART, Retention
from resonate_broker.kernel.submissions import Failed, FindRetired, RemoveTree
from resonate_store.state import Retired

NOW = 10_000
TREES = tuple(f"t{number:02}" for number in range(3 * PARTS_PER_RUN))

Remove = Callable[[str], "int | Failed"]


class Walk:
    """A table of two places, and what was looked at in it."""

    def __init__(self, trees: tuple[str, ...], remove: Remove) -> None:
        self.retention = Retention(1_000, lambda: NOW)
        self.positions: list[int] = []
        self.looked_at: list[str] = []
        self._trees = trees
        self._remove = remove

    def run(self) -> int | None:
        body, completion = self.retention.run(), None
        while True:
            try:
                submission = body.send(completion)
            except StopIteration as stop:
                return stop.value
            match submission:
                case FindRetired(position=position):
                    self.positions.append(position)
                    trees = () if position else self._trees
                    completion = Retired(trees=trees, next_position=0 if position else 64)
                case RemoveTree(tree=tree):
                    self.looked_at.append(tree)
                    completion = self._remove(tree)
                case _:
                    raise AssertionError(submission)


def test_trees_that_must_stay_do_not_keep_the_others_from_going():
    walk = Walk(TREES, lambda _: 0)

    for _ in range(3):
        assert len(walk.looked_at) % PARTS_PER_RUN == 0
        walk.run()
    walk.run()

    assert tuple(walk.looked_at) == TREES
    assert walk.positions == [0, 64]


def test_it_goes_on_at_once_with_what_is_left():
    walk = Walk(TREES[: PARTS_PER_RUN + 1], lambda _: 0)

    assert walk.run() == NOW
    assert walk.run() is None


def test_a_large_tree_is_not_left_before_it_is_gone():
    rows = [2 * PARTS_PER_RUN * ROWS_PER_PART + 1]

    def remove(_: str) -> int:
        part = min(rows[0], ROWS_PER_PART)
        rows[0] -= part
        return part

    walk = Walk(("large", "next"), remove)
    while walk.run() is not None:
        pass

    assert walk.looked_at.count("large") == 2 * PARTS_PER_RUN + 1
    assert walk.looked_at[-1] == "next"


def test_a_tree_that_cannot_be_removed_is_left_for_another_time():
    walk = Walk(("bad", "good"), lambda tree: Failed("it takes too long") if tree == "bad" else 1)

    assert walk.run() is None
    assert walk.run() == NOW

    assert walk.looked_at == ["bad", "good"]
