"""One step at a time, each once, whoever takes it, and its result where it belongs."""

import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from resonate_broker.embedded import exclusive as module
from resonate_broker.embedded.exclusive import Exclusive

THREADS, STEPS = 8, 500
WAIT_S = 30

Leave = Callable[[Callable[[], Any]], "Future[Any]"]


@pytest.fixture
def threads() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as executor:
        yield executor


@pytest.fixture
def hasty_interpreter() -> Generator[None]:
    """Threads take turns after a few instructions."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval_s)


@pytest.fixture
def exclusive() -> Exclusive:
    return Exclusive()


@pytest.fixture
def leave(
    exclusive: Exclusive, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> Leave:
    """Come with a step from another thread, while one is under way; returns when it is left."""
    left = threading.Semaphore(0)

    class Observed(Future[Any]):
        def result(self, timeout: float | None = None) -> Any:
            left.release()
            return super().result(timeout)

    monkeypatch.setattr(module, "Future", Observed)

    def leave(step: Callable[[], Any]) -> Future[Any]:
        waits = threads.submit(exclusive.take, step)
        assert left.acquire(timeout=WAIT_S)
        return waits

    return leave


def test_a_step_is_taken_on_the_thread_that_comes_with_it(exclusive: Exclusive):
    assert exclusive.take(threading.get_ident) == threading.get_ident()


def test_what_others_leave_is_taken_behind_the_step_under_way_in_the_order_it_came(
    exclusive: Exclusive, leave: Leave
):
    taken: list[str] = []
    left: list[Future[Any]] = []

    def note(name: str) -> int:
        taken.append(name)
        return threading.get_ident()

    def step() -> None:
        left.extend(leave(lambda name=name: note(name)) for name in ("second", "third"))
        note("first")

    exclusive.take(step)

    assert taken == ["first", "second", "third"]
    assert [one.result(WAIT_S) for one in left] == [threading.get_ident()] * 2


def test_an_error_belongs_to_who_came_with_the_step(exclusive: Exclusive, leave: Leave):
    left: list[Future[Any]] = []

    def step() -> str:
        left.append(leave(lambda: 1 // 0))
        left.append(leave(lambda: "fine"))
        return "fine, too"

    assert exclusive.take(step) == "fine, too"
    with pytest.raises(ZeroDivisionError):
        left[0].result(WAIT_S)
    assert left[1].result(WAIT_S) == "fine"


def test_an_error_of_the_step_under_way_does_not_keep_the_others_waiting(
    exclusive: Exclusive, leave: Leave
):
    left: list[Future[Any]] = []

    def step() -> None:
        left.append(leave(lambda: "fine"))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        exclusive.take(step)
    assert left[0].result(WAIT_S) == "fine"
    assert exclusive.take(lambda: "again") == "again"


def test_who_is_interrupted_in_somebody_elses_step_tells_him(exclusive: Exclusive, leave: Leave):
    left: list[Future[Any]] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    def step() -> None:
        left.append(leave(interrupted))

    with pytest.raises(KeyboardInterrupt):
        exclusive.take(step)
    with pytest.raises(RuntimeError, match="interrupted"):
        left[0].result(WAIT_S)


@pytest.mark.usefixtures("hasty_interpreter")
def test_steps_never_overlap_and_none_is_lost(exclusive: Exclusive, threads: ThreadPoolExecutor):
    under_way = 0
    taken = 0

    def step(result: int) -> int:
        nonlocal under_way, taken
        under_way += 1
        before = taken
        assert under_way == 1
        taken = before + 1
        under_way -= 1
        return result

    def take_many(thread: int) -> list[int]:
        return [exclusive.take(lambda n=n: step(thread + n)) for n in range(STEPS)]

    many = [threads.submit(take_many, thread * STEPS) for thread in range(THREADS)]

    results = [one.result(WAIT_S) for one in many]

    assert [result for one in results for result in one] == list(range(THREADS * STEPS))
    assert taken == THREADS * STEPS
