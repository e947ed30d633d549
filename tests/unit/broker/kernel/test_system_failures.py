"""What becomes of a batch whose transaction fails, and of a request whose rule raises."""

import logging
from typing import Literal

import pytest

from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Begin, Commit, Load, Write
from resonate_broker.kernel.system import Limits
from resonate_sdk.protocol.responses import OK, Answer, Nothing
from tests.unit.broker.builders import make_promise
from tests.unit.broker.kernel.fakes import Bench, Crash, Item, Put, Refuse, created


@pytest.mark.parametrize("phase", [Begin, Write])
def test_a_batch_that_lost_a_conflict_is_run_again(phase: type[Begin | Write]):
    bench = Bench()
    bench.submit(Put(id="a"), Put(id="b"))
    bench.tick()
    if phase is Write:
        bench.loaded()
    bench.failed("aborted", phase)
    again = bench.load

    bench.commit()

    assert again.ids == ("a", "b")
    assert bench.statuses == [("a", 200), ("b", 200)]


def test_a_batch_that_is_run_again_decides_on_the_rows_and_at_the_instant_of_the_new_run():
    bench = Bench()
    bench.submit(Put(id="a"), Put(id="b"))
    bench.tick()
    bench.loaded(store_ms=5_000)
    bench.failed("aborted")

    bench.loaded(make_promise("a"), store_ms=6_000)
    changes = bench.changes
    bench.written()

    assert bench.statuses == [("a", 409), ("b", 200)]
    assert [promise.created_at_ms for promise in changes.created] == [6_000]


def test_a_batch_that_is_run_again_runs_fresh_coroutines():
    bench = Bench()
    starts: list[str] = []

    def starting(request: Item) -> Operation:
        starts.append(request.id)
        yield Load(ids=(request.id,))
        return (yield Commit(Answer(OK, Nothing())))

    bench.system.add_on_request("starting", starting)
    bench.submit(Starting(id="a"))
    bench.tick()
    bench.loaded()

    bench.failed("aborted")

    assert starts == ["a", "a"]


def test_a_batch_may_lose_many_conflicts():
    bench = Bench()
    bench.submit(Put(id="a"))
    bench.tick()
    for _ in range(50):
        bench.loaded()
        bench.failed("aborted")

    bench.commit()

    assert bench.statuses == [("a", 200)]


@pytest.mark.parametrize("phase", [Begin, Write])
def test_a_batch_that_fails_for_too_long_is_answered_503(phase: type[Begin | Write]):
    bench = Bench(Limits(batch_ms=10_000))
    bench.submit(Put(id="a"), Put(id="b"))
    bench.tick()

    for _ in range(12):
        bench.now_ms += 1_000
        if bench.aio.has(Begin) and phase is Write:
            bench.loaded()
        if bench.aio.has(phase):
            bench.failed("aborted", phase)

    assert bench.statuses == [("a", 503), ("b", 503)]


def test_requests_that_waited_behind_a_failing_batch_are_carried_out():
    bench = Bench(Limits(batch_ms=10_000))
    bench.submit(Put(id="a"))
    bench.tick()
    bench.submit(Put(id="b"))
    bench.tick()
    bench.loaded()
    bench.now_ms += 10_000
    bench.failed("aborted")

    bench.commit()

    assert bench.statuses == [("a", 503), ("b", 200)]


@pytest.mark.parametrize("poisonous", [0, 1, 2, 6])
def test_a_batch_that_the_database_rejects_is_split_until_the_poisonous_request_is_alone(
    poisonous: int,
):
    bench = Bench()
    ids = [f"p{number}" for number in range(7)]
    bench.submit(*(Put(id=id) for id in ids))
    bench.tick()

    reject(bench, {ids[poisonous]})

    expected = [(id, 500 if id == ids[poisonous] else 200) for id in ids]
    assert bench.statuses == expected


def test_every_poisonous_request_of_a_batch_is_found():
    bench = Bench()
    bench.submit(*(Put(id=id) for id in "abcdef"))
    bench.tick()

    reject(bench, {"a", "d", "e"})

    assert [id for id, status in bench.statuses if status == 500] == ["a", "d", "e"]
    assert [id for id, status in bench.statuses if status == 200] == ["b", "c", "f"]


def test_what_cannot_be_stored_is_told_to_the_operator_with_the_reason():
    bench = Bench()
    bench.submit(Put(id="poison"))
    bench.tick()

    reject(bench, {"poison"})

    ((_, completed),) = bench.answers
    assert completed.crash is not None
    assert "the store says so" in completed.crash


def test_halves_of_a_rejected_batch_go_before_requests_that_came_later():
    bench = Bench()
    bench.submit(Put(id="a"), Put(id="poison"))
    bench.tick()
    bench.submit(Put(id="late"))
    bench.tick()

    reject(bench, {"poison"})

    assert bench.statuses == [("a", 200), ("poison", 500), ("late", 200)]


def test_a_split_batch_keeps_the_order_of_its_decisions():
    bench = Bench()
    bench.submit(Put(id="a"), Put(id="poison"), Put(id="a"), Put(id="b"))
    bench.tick()

    committed = reject(bench, {"poison"})

    assert bench.statuses == [("a", 200), ("poison", 500), ("a", 409), ("b", 200)]
    assert committed == ["a", "b"]


@pytest.mark.parametrize("phase", [Begin, Write])
def test_requests_of_unknown_fate_are_answered_500_and_not_run_again(phase: type[Begin | Write]):
    bench = Bench()
    bench.submit(Put(id="a"), Refuse(id="b"))
    bench.tick()
    if phase is Write:
        bench.loaded()

    bench.failed("unknown", phase)

    assert bench.statuses == [("a", 500), ("b", 500)]
    assert bench.aio.open == []


def test_the_next_batch_begins_after_one_of_unknown_fate():
    bench = Bench()
    bench.submit(Put(id="a"))
    bench.tick()
    bench.submit(Put(id="b"))
    bench.tick()
    bench.loaded()
    bench.failed("unknown")

    bench.commit()

    assert bench.statuses == [("a", 500), ("b", 200)]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_request_whose_rule_raises_is_answered_500_and_the_others_are_not_harmed(position: int):
    bench = Bench()
    requests: list[Item] = [Put(id="a"), Put(id="b")]
    requests.insert(position, Crash(id="bug"))
    bench.submit(*requests)
    bench.tick()
    bench.loaded()
    again = bench.load

    bench.loaded()
    changes = bench.changes
    bench.written()

    assert again.ids == ("a", "b")
    assert created(changes) == ("a", "b")
    assert sorted(bench.statuses) == [("a", 200), ("b", 200), ("bug", 500)]


def test_a_crash_is_told_to_the_operator_and_logged_once(caplog: pytest.LogCaptureFixture):
    bench = Bench()
    bench.submit(Crash(id="bug"))
    bench.tick()

    with caplog.at_level(logging.ERROR):
        bench.loaded()

    ((_, completed),) = bench.answers
    assert completed.crash == "ZeroDivisionError: a bug"
    assert len(caplog.records) == 1


def test_several_requests_whose_rules_raise_are_all_taken_out():
    bench = Bench()
    bench.submit(Crash(id="x"), Put(id="a"), Crash(id="y"), Crash(id="z"))
    bench.tick()
    for _ in range(3):
        bench.loaded()

    bench.commit()

    assert sorted(bench.statuses) == [("a", 200), ("x", 500), ("y", 500), ("z", 500)]


def test_a_batch_of_which_every_rule_raises_leaves_the_kernel_idle():
    bench = Bench()
    bench.submit(Crash(id="x"))
    bench.tick()
    bench.loaded()

    if bench.aio.has(Begin):
        bench.commit()

    assert bench.system.is_idle
    assert bench.statuses == [("x", 500)]


def test_an_operation_that_raises_before_it_loads_is_answered_500():
    bench = Bench()

    def raising(request: Item) -> Operation:
        raise ZeroDivisionError("a bug")
        yield

    bench.system.add_on_request("starting", raising)
    bench.submit(Starting(id="a"), Put(id="b"))

    bench.tick()
    bench.commit()

    assert bench.statuses == [("a", 500), ("b", 200)]


@pytest.mark.parametrize("outcome", ["unknown", "rejected"])
def test_an_internal_step_whose_batch_fails_is_given_up(outcome: Literal["unknown", "rejected"]):
    bench = Bench()
    ended: list[str] = []

    def step() -> Operation:
        state = yield Load(ids=("a",))
        state.put(make_promise("a"))
        yield Commit()
        ended.append("committed")
        return Answer(OK, Nothing())

    bench.system.run_once(step)
    bench.tick()
    bench.loaded()

    bench.failed(outcome)

    assert ended == []
    assert bench.system.is_idle


def test_an_internal_step_that_raises_does_not_harm_the_requests_of_its_batch():
    bench = Bench()

    def step() -> Operation:
        yield Load(ids=("x",))
        raise ZeroDivisionError

    bench.system.run_once(step)
    bench.submit(Put(id="a"))
    bench.tick()
    bench.loaded()

    bench.commit()

    assert bench.statuses == [("a", 200)]


@pytest.mark.parametrize("is_asked_for", [True, False])
def test_what_the_store_refuses_is_logged_once(
    is_asked_for: bool, caplog: pytest.LogCaptureFixture
):
    bench = Bench()

    def step() -> Operation:
        state = yield Load(ids=("a",))
        state.put(make_promise("a"))
        yield Commit()
        return Answer(OK, Nothing())

    if is_asked_for:
        bench.submit(Put(id="a"))
    else:
        bench.system.run_once(step)
    bench.tick()
    bench.loaded()

    bench.failed("rejected")

    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


class Starting(Item, frozen=True, kw_only=True):
    kind = "starting"


def reject(bench: Bench, poison: set[str]) -> list[str]:
    """Be a store that never takes these ids and keeps the others; what it keeps, in order."""
    stored: dict[str, int] = {}
    for _ in range(100):
        if bench.aio.has(Begin):
            bench.loaded(*(make_promise(id) for id in bench.load.ids if id in stored))
        if not bench.aio.has(Write):
            return list(stored)
        if poison & set(created(bench.changes)):
            bench.failed("rejected")
        else:
            stored |= dict.fromkeys(created(bench.changes), 0)
            bench.written()
    raise AssertionError("the kernel tries for ever")
