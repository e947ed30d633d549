import logging
from collections.abc import Generator
from typing import Any

import pytest

from resonate_broker.kernel.coroutine import Coroutine
from resonate_broker.kernel.scheduler import Scheduler


class Trace:
    """A scheduler and all that happens in it, in order."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.waiting: list[Coroutine] = []
        self.scheduler = Scheduler(self._submit)

    def _submit(self, coroutine: Coroutine, submission: Any) -> None:
        self.events.append(("submitted", submission))
        self.waiting.append(coroutine)

    def _ended(self, coroutine: Coroutine, error: Exception | None) -> None:
        self.events.append(("ended", coroutine.result if error is None else type(error)))

    def add(self, name: str) -> Coroutine:
        def body() -> Generator[Any, Any, str]:
            self.events.append(("started", name))
            told = yield name
            self.events.append(("resumed", name, told))
            return name

        coroutine = Coroutine(body, self._ended)
        self.scheduler.add(coroutine)
        return coroutine


def test_coroutines_run_in_the_order_in_which_they_were_added():
    trace = Trace()
    for name in "cab":
        trace.add(name)

    trace.scheduler.run()

    started = [event[1] for event in trace.events if event[0] == "started"]
    assert started == ["c", "a", "b"]


def test_each_coroutine_runs_until_its_submission_before_the_next_one_starts():
    trace = Trace()
    trace.add("a")
    trace.add("b")

    trace.scheduler.run()

    assert trace.events == [
        ("started", "a"),
        ("submitted", "a"),
        ("started", "b"),
        ("submitted", "b"),
    ]


def test_a_coroutine_gets_its_completion_and_its_end_is_told():
    trace = Trace()
    coroutine = trace.add("a")
    trace.scheduler.run()
    trace.events.clear()

    trace.scheduler.add(coroutine, "a completion")
    trace.scheduler.run()

    assert trace.events == [("resumed", "a", "a completion"), ("ended", "a")]


def test_a_coroutine_that_raises_ends_and_the_others_go_on(caplog: pytest.LogCaptureFixture):
    trace = Trace()

    def raises() -> Generator[Any, Any, None]:
        raise ZeroDivisionError
        yield

    trace.scheduler.add(Coroutine(raises, trace._ended))
    trace.add("b")

    with caplog.at_level(logging.ERROR):
        trace.scheduler.run()

    assert trace.events == [("ended", ZeroDivisionError), ("started", "b"), ("submitted", "b")]


def test_what_is_added_during_a_run_runs_after_all_that_waited():
    trace = Trace()

    def adds() -> Generator[Any, Any, None]:
        trace.add("late")
        yield "adds"

    trace.scheduler.add(Coroutine(adds, trace._ended))
    trace.add("b")

    trace.scheduler.run()

    assert [event[1] for event in trace.events if event[0] == "started"] == ["b", "late"]


def test_a_run_ends_when_nothing_can_go_on():
    trace = Trace()
    trace.add("a")
    waiting = len(trace.scheduler)

    trace.scheduler.run()

    assert (waiting, len(trace.scheduler)) == (1, 0)
