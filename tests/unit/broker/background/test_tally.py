from msgspec.structs import replace

from resonate_broker.background.tally import count
from resonate_store.state import Promise
from tests.unit.broker.builders import make_promise, make_state, make_targeted


def counted(before: Promise | None, after: Promise) -> dict[str, int]:
    state = make_state()
    count(state, before, after)
    return state.tally


def test_a_promise_that_is_new_is_created():
    assert counted(None, make_promise("a")) == {"created": 1}


def test_a_promise_that_is_born_settled_is_created_and_settled():
    assert counted(None, make_promise("a", state="rejected_timedout")) == {
        "created": 1,
        "rejected_timedout": 1,
    }


def test_a_settled_promise_settles_once():
    settled = make_promise("a", state="resolved")

    assert counted(make_promise("a"), settled) == {"resolved": 1}
    assert counted(settled, settled) == {}


def test_a_task_is_acquired_when_its_version_goes_up_even_if_it_ends_at_once():
    pending = make_targeted("t", "pending", version=1)
    acquired = make_targeted("t", "acquired", version=2)
    fulfilled = make_targeted("t", "fulfilled", version=2)

    assert counted(pending, acquired) == {"acquired": 1}
    assert counted(pending, fulfilled)["acquired"] == 1
    assert counted(acquired, acquired) == {}


def test_a_task_that_is_created_by_its_holder_is_acquired():
    assert counted(None, make_targeted("t", "acquired", version=1)) == {
        "created": 1,
        "acquired": 1,
    }


def test_a_task_that_waits_for_others_is_suspended():
    acquired = make_targeted("t", "acquired", version=1)

    assert counted(acquired, make_targeted("t", "suspended", version=1)) == {"suspended": 1}


def test_a_task_is_lost_when_its_lease_runs_out_and_not_when_it_is_given_back():
    acquired = make_targeted("t", "acquired", version=1)
    pending = make_targeted("t", "pending", version=1)
    assert pending.task is not None
    lost = replace(pending, task=replace(pending.task, lease_losses=1))

    assert counted(acquired, lost) == {"lost": 1}
    assert counted(acquired, pending) == {}
