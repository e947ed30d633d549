from collections.abc import Sequence

from resonate_broker.background.tap import Tap
from resonate_broker.kernel.submissions import Outgoing
from resonate_broker.kernel.working_state import WorkingState
from tests.unit.broker.builders import make_promise, make_schedule, make_state


class Behind:
    """What stands behind the tap."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.commits = 0

    def decided(self, state: WorkingState) -> None:
        self.seen += state.take_changed()

    def committed(self, outgoing: Sequence[Outgoing]) -> None:
        self.commits += 1


class Woken:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_what_each_coroutine_changes_is_recorded_and_passed_on():
    behind, woken = Behind(), Woken()
    tap = Tap(behind, woken)
    state = make_state(named=("p",), named_schedules=("s",))

    state.put(make_promise("p"))
    tap.decided(state)
    state.put(make_promise("p", state="resolved"))
    state.put_schedule(make_schedule("s"))
    tap.decided(state)
    assert woken.count == 0  # nothing is true before the commit
    tap.committed(())

    kinds = [event.kind for event in state.changes().events]
    assert kinds == ["promise.created", "promise.resolved", "schedule.created"]
    assert behind.seen == ["p", "p"]
    assert (behind.commits, woken.count) == (1, 1)


def test_nobody_is_woken_for_a_batch_in_which_nothing_has_happened():
    behind, woken = Behind(), Woken()
    tap = Tap(behind, woken)

    tap.decided(make_state())
    tap.committed(())

    assert (behind.commits, woken.count) == (1, 0)
