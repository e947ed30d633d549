import logging
from collections.abc import Callable

import pytest

from resonate_broker.kernel.coroutine import Body, Operation
from resonate_broker.kernel.submissions import (
    Begin,
    Commit,
    Failed,
    Load,
    Publish,
    Published,
    ReadDue,
    Spawn,
)
from resonate_broker.kernel.system import SWEEP, TOLD_GATHER_MS, Limits
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol.responses import OK, Answer, Nothing
from resonate_store.state import Due, Listener, Timer
from tests.unit.broker.builders import NOW, make_news, make_promise
from tests.unit.broker.kernel.fakes import Bench, Item, Put


class Runs:
    """A background step that notes when it runs."""

    def __init__(self, bench: Bench, result: int | None = None) -> None:
        self.bench = bench
        self.result = result
        self.at_ms: list[int] = []

    def __call__(self) -> Body:
        self.at_ms.append(self.bench.now_ms)
        return self.result
        yield


def test_a_background_step_runs_at_once_and_then_every_interval():
    bench = Bench()
    runs = Runs(bench)
    bench.system.add_background("step", runs, 1_000)

    for _ in range(5):
        bench.tick()
        bench.now_ms += 500

    assert runs.at_ms == [NOW, NOW + 1_000, NOW + 2_000]


def test_the_kernel_asks_for_a_tick_when_a_background_step_is_due():
    bench = Bench()
    bench.system.add_background("step", Runs(bench), 700)

    bench.tick()

    assert bench.system.next_tick_at_ms() == NOW + 700


def test_a_step_that_is_woken_runs_at_the_next_tick():
    bench = Bench()
    runs = Runs(bench)
    bench.system.add_background("step", runs, 1_000)
    bench.tick()

    bench.system.wake("step")
    due_at_ms = bench.system.next_tick_at_ms()
    bench.tick(advance_ms=3)

    assert due_at_ms == NOW
    assert runs.at_ms == [NOW, NOW + 3]


def test_a_step_is_woken_at_an_instant_of_the_clock_of_the_store():
    bench = Bench()
    bench.add_sweep(Runs(bench))
    bench.submit(Put(id="a"))
    bench.tick()
    bench.loaded(store_ms=NOW + 50_000)
    bench.written()

    bench.system.wake(SWEEP, NOW + 50_200)

    assert bench.system.next_tick_at_ms() == NOW + 200


def test_the_clock_of_the_store_is_heard_from_whatever_the_store_says_first():
    """Leases are given up by this clock, and a server may run for long without a batch."""
    bench = Bench()

    def reads() -> Body:
        yield ReadDue(1)

    bench.add_sweep(reads)
    bench.tick()

    due = Due(now_ms=NOW + 50_000, timers=(), next_at_ms=None)
    bench.aio.complete(bench.aio.find(ReadDue), due)
    bench.tick()

    assert bench.system.store_now_ms == NOW + 50_000


def test_waking_a_step_never_makes_it_run_later():
    bench = Bench()
    bench.system.add_background("step", Runs(bench), 1_000)
    bench.tick()

    bench.system.wake("step", NOW + 5_000)

    assert bench.system.next_tick_at_ms() == NOW + 1_000


def test_the_result_of_a_step_is_when_it_runs_again():
    bench = Bench()
    bench.system.add_background("step", Runs(bench, result=NOW + 30), 1_000)

    bench.tick()

    assert bench.system.next_tick_at_ms() == NOW + 30


def test_a_step_never_runs_twice_at_a_time():
    bench = Bench()
    starts: list[int] = []

    def step() -> Body:
        starts.append(bench.now_ms)
        yield ReadDue(1)

    bench.system.add_background("step", step, 1_000)
    bench.tick()
    bench.system.wake("step")
    bench.tick(advance_ms=5_000)
    while_running = list(starts)

    bench.aio.complete(bench.aio.find(ReadDue), Due(now_ms=NOW, timers=(), next_at_ms=None))
    bench.tick()
    bench.tick()

    assert while_running == [NOW]
    assert starts == [NOW, NOW + 5_000]


def test_a_step_that_raises_is_logged_and_runs_again_after_its_interval(
    caplog: pytest.LogCaptureFixture,
):
    bench = Bench()
    starts: list[int] = []

    def step() -> Body:
        starts.append(bench.now_ms)
        raise ZeroDivisionError
        yield

    bench.system.add_background("step", step, 1_000)

    with caplog.at_level(logging.ERROR):
        bench.tick()
        bench.tick(advance_ms=1_000)

    assert starts == [NOW, NOW + 1_000]
    assert len(caplog.records) == 2


def test_no_background_step_starts_after_shutdown():
    bench = Bench()
    runs = Runs(bench)
    bench.system.add_background("step", runs, 1_000)
    bench.tick()
    bench.system.shutdown()

    bench.tick(advance_ms=1_000)

    assert runs.at_ms == [NOW]


def test_a_timer_that_a_batch_armed_wakes_the_sweep_when_it_is_due():
    bench = Bench()
    runs = Runs(bench)
    bench.add_sweep(runs, interval_ms=60_000)

    def arms(request: Item) -> Operation:
        state: WorkingState = yield Load(ids=(request.id,))
        state.arm(Timer(NOW + 250, request.id))
        return (yield Commit(Answer(OK, Nothing())))

    bench.system.add_on_request("arms", arms)
    bench.submit(Arms(id="a"))
    bench.tick()
    bench.loaded()
    before = bench.system.next_tick_at_ms()

    bench.written()
    after = bench.system.next_tick_at_ms()
    bench.tick(advance_ms=250)

    assert (before, after) == (NOW + 60_000, NOW + 250)
    assert runs.at_ms == [NOW, NOW + 250]


def look(id: str, seen: list[str]) -> Callable[[], Body]:
    def body() -> Body:
        yield Load(ids=(id,))
        seen.append(id)
        yield Commit()

    return body


def test_spawned_steps_share_a_batch_and_their_parent_goes_on_after_all_of_them():
    bench = Bench()
    seen: list[str] = []

    def parent() -> Body:
        yield Spawn((look("b", seen), look("a", seen)))
        seen.append("parent")

    bench.system.run_once(parent)
    bench.tick()
    load = bench.load
    bench.loaded()
    before = list(seen)

    bench.written()

    assert load.ids == ("a", "b")
    assert before == ["b", "a"]
    assert seen == ["b", "a", "parent"]


def test_a_parent_goes_on_when_a_spawned_step_raises():
    bench = Bench()
    seen: list[str] = []

    def raising() -> Body:
        yield Load(ids=("x",))
        raise ZeroDivisionError

    def parent() -> Body:
        yield Spawn((raising, look("a", seen)))
        seen.append("parent")

    bench.system.run_once(parent)
    bench.tick()
    bench.loaded()

    bench.commit()

    assert seen[-1] == "parent"


def test_a_parent_goes_on_when_the_batch_of_its_steps_fails():
    bench = Bench()
    seen: list[str] = []

    def parent() -> Body:
        yield Spawn((look("a", []),))
        seen.append("parent")

    bench.system.run_once(parent)
    bench.tick()
    bench.loaded()

    bench.failed("unknown")

    assert seen == ["parent"]


def test_a_parent_that_spawns_nothing_goes_on_at_once():
    bench = Bench()
    seen: list[str] = []

    def parent() -> Body:
        yield Spawn(())
        seen.append("parent")

    bench.system.run_once(parent)

    bench.tick()

    assert seen == ["parent"]


def test_internal_steps_share_a_batch_with_requests():
    bench = Bench()
    bench.system.run_once(look("step", []))
    bench.submit(Put(id="a"))

    bench.tick()

    assert bench.load.ids == ("a", "step")


def test_internal_steps_do_not_make_a_batch_larger_than_its_limit():
    bench = Bench(Limits(batch=2))
    for name in ("x", "y", "z"):
        bench.system.run_once(look(name, []))
    bench.submit(Put(id="a"))

    bench.tick()
    sizes: list[int] = []
    while bench.aio.has(Begin):
        sizes.append(len(bench.load.ids))
        bench.commit()

    assert max(sizes) <= 2
    assert sum(sizes) == 4


def told(bench: Bench, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Let a listener of the settled promise `p` be told; something may happen meanwhile."""
    promise = make_promise("p", state="resolved")
    news = make_news(promise, "amqp://uni@c/1")

    def tells(request: Item) -> Operation:
        state: WorkingState = yield Load(ids=("p",))
        state.send(news)
        return (yield Commit(Answer(OK, Nothing())))

    bench.system.add_on_request("tells", tells)
    bench.submit(Tells(id="p"))
    bench.tick()
    bench.commit(promise)
    meanwhile()
    bench.tick()
    bench.aio.complete(bench.aio.find(Publish), Published((news,)))
    bench.tick()


def test_listeners_that_were_told_are_forgotten_with_the_next_batch():
    bench = Bench()
    told(bench)
    before = bench.aio.has(Begin)
    bench.submit(Put(id="a"))

    bench.tick()
    bench.loaded()

    assert not before
    assert bench.changes.listeners_told == (Listener("p", "amqp://uni@c/1"),)
    assert [promise.id for promise in bench.changes.created] == ["a"]


def test_listeners_that_were_told_are_forgotten_after_a_moment_without_a_batch():
    bench = Bench()
    told(bench)
    due_at_ms = bench.system.next_tick_at_ms()

    bench.tick(advance_ms=TOLD_GATHER_MS)
    bench.loaded()

    assert due_at_ms == NOW + TOLD_GATHER_MS
    assert bench.changes.listeners_told == (Listener("p", "amqp://uni@c/1"),)


def test_a_kernel_waits_for_its_batch_although_listeners_are_to_be_forgotten():
    """Nothing can be done about them before that: an early tick would follow the other."""
    bench = Bench()
    told(bench, meanwhile=lambda: bench.submit(Put(id="q")))

    bench.tick(advance_ms=TOLD_GATHER_MS)

    assert bench.aio.has(Begin)
    assert bench.system.next_tick_at_ms() > bench.now_ms


def test_listeners_that_were_told_are_forgotten_before_a_shutdown_ends():
    bench = Bench()
    told(bench)
    bench.system.shutdown()
    is_done_before = bench.system.is_done

    bench.tick()
    bench.commit()

    assert not is_done_before
    assert bench.system.is_done
    assert len(bench.told) == 1


def test_messages_that_could_not_be_sent_leave_their_listeners_owed():
    bench = Bench()
    told(bench)
    bench.tick(advance_ms=TOLD_GATHER_MS)
    bench.commit()
    bench.told.clear()
    bench.submit(Tells(id="p"))
    bench.tick()
    bench.commit(make_promise("p", state="resolved"))

    bench.aio.complete(bench.aio.find(Publish), Failed("no connection"))
    bench.tick(advance_ms=TOLD_GATHER_MS)

    assert bench.told == []
    assert bench.system.is_idle


class Arms(Item, frozen=True, kw_only=True):
    kind = "arms"


class Tells(Item, frozen=True, kw_only=True):
    kind = "tells"
