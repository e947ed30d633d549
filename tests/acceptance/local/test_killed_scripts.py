"""A script that is killed goes on where it was when it is started again, at once.

"At once" is far below the lease of 15 s that the dead process held.
"""

import time
from collections import Counter

import pytest

from tests.acceptance.local.processes import script

AT_ONCE_S = 5.0
NAP_S = 0.3


@pytest.fixture
def files(tmp_path):
    """Where promises and effects are kept."""
    return tmp_path / "promises.db", tmp_path / "effects.log"


def effects(files):
    path = files[1]
    return Counter(path.read_text().split("\n")[:-1] if path.exists() else [])


def kill_at(files, moment, *, nap_s=NAP_S, mode="begin"):
    """Run the order until a moment, and kill it there."""
    with script("order", *files, moment, nap_s, mode) as order:
        if moment == "asleep":
            order.wait_for("suspended on order-1.3", 30)
        elif moment == "waiting":
            order.wait_for("suspended on approval", 30)
        else:
            order.wait_for(moment, 30)
        order.kill()


def finish(files, *, nap_s=NAP_S, mode="begin"):
    """Run the order to its end; give its result, the times of its nap, and how long it took."""
    with script("order", *files, "nothing", nap_s, mode) as order:
        order.wait_for("started")
        began = time.monotonic()
        result = order.wait_for("result")
        took_s = time.monotonic() - began
        nap = [int(instant) for instant in order.wait_for("nap").split()]
        assert order.wait_for_end() == 0, order.told()
    return result, nap, took_s


RESULT = str(["first", "second", "yes", "third"])


def test_without_a_kill_each_step_runs_once(files):
    result, *_ = finish(files)

    assert result == RESULT
    assert set(effects(files).values()) == {1}
    assert len(effects(files)) == 6


@pytest.mark.parametrize(
    ("moment", "interrupted", "mode"),
    [
        ("in first", "first", "begin"),
        ("between steps", None, "begin"),
        ("in second", "second", "begin"),
        ("asleep", None, "begin"),
        ("waiting", None, "begin"),
        ("in third", "third", "begin"),
        ("before the end", None, "begin"),
        ("in second", "second", "serve"),
        ("asleep", None, "serve"),
    ],
)
def test_a_killed_script_goes_on_where_it_was(files, moment, interrupted, mode):
    kill_at(files, moment)

    result, _, took_s = finish(files, mode=mode)

    assert result == RESULT
    assert took_s < AT_ONCE_S
    for name in ("first", "second", "third"):
        assert effects(files)[f"{name} ended"] == 1
        assert effects(files)[f"{name} begun"] == (2 if name == interrupted else 1)


def test_a_script_killed_at_every_moment_gets_to_its_end(files):
    for moment in ("in first", "between steps", "in second", "asleep", "waiting", "in third"):
        kill_at(files, moment)

    result, _, took_s = finish(files)

    assert result == RESULT
    assert took_s < AT_ONCE_S
    assert {effects(files)[f"{name} ended"] for name in ("first", "second", "third")} == {1}
    assert {effects(files)[f"{name} begun"] for name in ("first", "second", "third")} == {2}


def test_a_script_killed_again_and_again_in_one_step_gets_to_its_end(files):
    for _ in range(4):  # more often than a lease may be lost before the server waits
        kill_at(files, "in second")

    result, _, took_s = finish(files)

    assert result == RESULT
    assert took_s < AT_ONCE_S
    assert effects(files)["second begun"] == 5
    assert effects(files)["first begun"] == 1


def test_a_sleep_goes_on_while_no_process_is_there(files):
    nap_s = 4.0
    kill_at(files, "asleep", nap_s=nap_s)

    result, (created_at, deadline, settled_at), took_s = finish(files, nap_s=nap_s)

    assert result == RESULT
    assert nap_s * 1000 - 1_000 <= deadline - created_at <= nap_s * 1000
    assert settled_at == deadline, "the sleep was neither begun anew nor cut short"
    assert took_s < nap_s + AT_ONCE_S


def test_a_finished_execution_is_not_run_again(files):
    finish(files)

    result, _, took_s = finish(files)

    assert result == RESULT
    assert took_s < AT_ONCE_S
    assert set(effects(files).values()) == {1}


@pytest.mark.parametrize("moment", ["a.1", "b.2"])
def test_all_tasks_of_a_killed_process_go_on_at_once(files, moment):
    with script("fan_out", *files, moment) as run:
        run.wait_for(moment)
        run.kill()

    with script("fan_out", *files, "nothing") as run:
        run.wait_for("started")
        began = time.monotonic()
        assert run.wait_for("result") == "4"
        took_s = time.monotonic() - began
        assert run.wait_for_end() == 0

    assert took_s < AT_ONCE_S
    for name in ("a.1", "a.2", "b.1", "b.2"):
        assert 1 <= effects(files)[name] <= 2
    assert effects(files)[moment] == 2
