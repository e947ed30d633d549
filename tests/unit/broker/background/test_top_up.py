from collections.abc import Generator
from typing import Any

import pytest

from resonate_broker.background.top_up import (
    GROUPS_PER_RUN,
    LOOK_MS,
    REDISCOVER_MS,
    TopUp,
    send_queued,
)
from resonate_broker.kernel.submissions import (
    Commit,
    Failed,
    Load,
    Probe,
    Probed,
    ReadQueued,
    ReadQueuedGroups,
    Spawn,
)
from resonate_sdk.protocol import limits
from resonate_store.state import Wanted
from tests.unit.broker.background.looks import Dispatching, promise_of
from tests.unit.broker.builders import NOW, make_outgoing, make_promise, make_state, make_task


class Runs:
    """A top-up and what it knows; `groups` is what the store says has queued tasks."""

    def __init__(self, size: int = limits.DISPATCH_WINDOW) -> None:
        self.dispatching = Dispatching(size)
        self.windows = self.dispatching.windows
        self.now_ms = NOW
        self.top_up = TopUp(self.windows, self.dispatching.dispatch, lambda: self.now_ms)
        self.groups: tuple[str, ...] = ()
        self.submissions: list[Any] = []

    def start(self) -> Generator[Any, Any, Any]:
        """Begin a run; past the question for groups, if it asks that."""
        body = self.top_up.run()
        self._note(body, lambda: body.send(None))
        if self.submissions and isinstance(self.submissions[-1], ReadQueuedGroups):
            self.send(body, self.groups)
        return body

    def send(self, body: Generator[Any, Any, Any], completion: Any) -> Any:
        """Complete what the run waits for; what it submits next, None when it has ended."""
        return self._note(body, lambda: body.send(completion))

    def _note(self, body: Generator[Any, Any, Any], resume: Any) -> Any:
        try:
            self.submissions.append(resume())
        except StopIteration:
            self.submissions.append(None)
        return self.submissions[-1]


def probed(ready: int = 0, consumers: int = 1, unconfirmed: int = 0) -> Probed:
    return Probed(ready=ready, consumers=consumers, unconfirmed=unconfirmed)


def test_a_server_that_starts_asks_which_groups_wait():
    runs = Runs()
    runs.groups = ("g", "h")

    body = runs.start()
    runs.send(body, probed())

    assert runs.submissions[:2] == [ReadQueuedGroups(limits.GROUPS_MAX), Probe("g")]


def test_groups_are_asked_for_again_after_a_while():
    runs = Runs()
    runs.start()
    runs.now_ms += REDISCOVER_MS - 1
    runs.start()
    before = runs.submissions.count(ReadQueuedGroups(limits.GROUPS_MAX))

    runs.now_ms += 1
    runs.start()

    assert before == 1
    assert runs.submissions.count(ReadQueuedGroups(limits.GROUPS_MAX)) == 2


def test_groups_that_could_not_be_read_are_asked_for_at_the_next_run():
    runs = Runs()
    body = runs.top_up.run()
    body.send(None)
    with pytest.raises(StopIteration):
        body.send(Failed("no connection"))

    assert runs.top_up.run().send(None) == ReadQueuedGroups(limits.GROUPS_MAX)


def make_waiting(size: int = limits.DISPATCH_WINDOW) -> tuple[Runs, Generator[Any, Any, Any]]:
    """A run that is about to count the queue of a group whose tasks wait."""
    runs = Runs(size)
    runs.groups = ("g",)
    body = runs.start()
    assert runs.submissions[-1] == Probe("g")
    return runs, body


def test_as_many_queued_tasks_are_read_as_there_is_room_for():
    runs, body = make_waiting(size=100)

    assert runs.send(body, probed(ready=30, unconfirmed=5)) == ReadQueued("g", Wanted(count_max=65))


def test_queued_tasks_are_sent_in_the_order_of_the_store():
    runs, body = make_waiting()
    runs.send(body, probed())

    spawn = runs.send(body, ("b", "a"))

    assert isinstance(spawn, Spawn)
    assert [make().send(None) for make in spawn.bodies] == [Load(ids=("b",)), Load(ids=("a",))]


@pytest.mark.parametrize(
    "completion", [probed(consumers=0), probed(ready=1_000), Failed("no connection")]
)
def test_nothing_is_read_without_room_or_a_worker(completion: Probed | Failed):
    runs, body = make_waiting()

    assert runs.send(body, completion) is None


def test_a_group_without_room_is_still_known_to_wait():
    runs, body = make_waiting()

    runs.send(body, probed(ready=1_000))

    assert runs.windows.of("g").has_queued


@pytest.mark.parametrize(("count", "has_more"), [(3, True), (2, False), (0, False)])
def test_a_group_waits_on_when_as_many_tasks_were_found_as_asked_for(count: int, has_more: bool):
    runs, body = make_waiting(size=3)
    runs.send(body, probed())

    runs.send(body, tuple(f"t{number}" for number in range(count)))

    assert runs.windows.of("g").has_queued is has_more


def test_a_group_whose_tasks_could_not_be_read_is_still_known_to_wait():
    runs, body = make_waiting()
    runs.send(body, probed())

    runs.send(body, Failed("no connection"))

    assert runs.windows.of("g").has_queued


def queue_task(runs: Runs) -> None:
    """A batch under way queues a task of the group."""
    state = make_state(named=["t"])
    state.put(make_promise("t", task=make_task()))
    runs.dispatching.dispatch.decided(state)
    task = promise_of(state, "t").task
    assert task is not None
    assert task.queued_at_ms == NOW


def test_a_task_that_is_stored_while_the_queue_is_read_is_not_forgotten():
    """The reading may have missed it, and nobody else will say that it waits."""
    runs, body = make_waiting()
    queue_task(runs)
    runs.send(body, probed())
    runs.dispatching.dispatch.committed(())

    runs.send(body, ())

    assert runs.windows.of("g").has_queued


def test_a_task_that_is_stored_after_the_queue_was_read_is_not_forgotten():
    runs, body = make_waiting()
    queue_task(runs)
    runs.send(body, probed())
    runs.send(body, ())

    runs.dispatching.dispatch.committed(())

    assert runs.windows.of("g").has_queued
    assert runs.windows.has_wanted


def test_hints_that_are_sent_while_the_queue_is_counted_take_room():
    runs, body = make_waiting(size=10)
    runs.dispatching.dispatch.committed([make_outgoing(), make_outgoing()])

    assert runs.send(body, probed(ready=3)) == ReadQueued("g", Wanted(count_max=5))


def test_a_worker_that_says_hello_gets_its_group_looked_at_at_once():
    runs = Runs()
    runs.start()

    runs.top_up.greet("g")
    runs.start()

    assert runs.submissions[-1] == Probe("g")


def test_a_worker_that_says_hello_gets_hints_before_its_queue_shows_a_consumer():
    runs = Runs()
    runs.start()
    runs.top_up.greet("g")
    body = runs.start()

    assert runs.send(body, probed(consumers=0)) == ReadQueued(
        "g", Wanted(count_max=limits.DISPATCH_WINDOW)
    )


def test_groups_that_wait_are_looked_at_every_second_without_a_reason():
    runs, body = make_waiting()
    runs.send(body, probed(ready=1_000))
    runs.now_ms += LOOK_MS - 1
    runs.start()
    early = runs.submissions[-1]

    runs.now_ms += 1
    runs.start()

    assert (early, runs.submissions[-1]) == (None, Probe("g"))


def test_a_run_looks_at_a_bounded_number_of_groups():
    runs = Runs()
    runs.groups = tuple(f"g{number:03}" for number in range(GROUPS_PER_RUN + 5))

    body = runs.start()
    while runs.submissions[-1] is not None:
        runs.send(body, probed(consumers=0))

    probes = [submission for submission in runs.submissions if isinstance(submission, Probe)]
    assert len(probes) == GROUPS_PER_RUN


def test_the_turn_of_a_task_is_taken_under_its_lock():
    dispatching = Dispatching()
    body = send_queued("t", dispatching.dispatch)
    state = make_state(make_promise("t", task=make_task(queued_at_ms=NOW - 1)))

    assert body.send(None) == Load(ids=("t",))
    assert body.send(state) == Commit()

    assert len(state.outgoing()) == 1


def test_a_task_whose_deadline_has_come_is_not_sent():
    body = send_queued("t", Dispatching().dispatch)
    task = make_task(queued_at_ms=NOW - 1)
    state = make_state(make_promise("t", task=task, timeout_at_ms=NOW))
    body.send(None)

    body.send(state)

    assert state.outgoing() == ()
    assert promise_of(state, "t").state == "rejected_timedout"
