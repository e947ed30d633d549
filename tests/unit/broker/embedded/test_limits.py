"""Limits of groups, as workers meet them: the whole server, at instants that a test chooses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from resonate_broker.embedded.broker import EmbeddedBroker
from resonate_sdk.protocol.messages import Message
from resonate_sdk.protocol.responses import Answer

NOW = 1_000_000
STEP_MS = 5
DAY_MS = 86_400_000


class World:
    """A server, and workers that take whatever they get."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self.broker = EmbeddedBroker(None, lambda: self.now_ms)
        self.started: list[tuple[int, str]] = []
        self.running: list[str] = []
        self._hints: list[Any] = []
        self.broker.attach("w1", "g", self._deliver)
        self.broker.add_credit("w1", 10_000)
        self.ask("hello", pid="w1", group="g")

    def _deliver(self, message: Message) -> None:
        self._hints.append(message)

    def ask(self, kind: str, **data: Any) -> Answer:
        answers: list[tuple[str, Answer]] = []
        head = {"corrId": "1", "version": "2026-04-01"}
        body = json.dumps([{"kind": kind, "head": head, "data": data}]).encode()
        self.broker.submit(body, answers.extend)
        return answers[0][1]

    def create(self, id: str, **tags: Any) -> None:
        own = {"resonate:target": "g"} | {f"resonate:{key}": text for key, text in tags.items()}
        answer = self.ask("promise.create", id=id, timeoutAt=NOW + DAY_MS, tags=own)
        assert answer.is_ok, answer

    def limit(self, **limits: Any) -> None:
        assert self.ask("group.set", name="g", **limits).is_ok
        self.step()

    def step(self, ms: int = STEP_MS) -> None:
        """Let time pass; workers acquire what they were told of."""
        self.now_ms += ms
        self.broker.tick()
        while self._hints:
            task = self._hints.pop(0).data.task
            answer = self.ask("task.acquire", id=task.id, version=task.version, pid="w1", ttl=9_999)
            if answer.is_ok:
                self.started.append((self.now_ms, task.id))
                self.running.append(task.id)

    def end(self, id: str) -> None:
        self.running.remove(id)
        settle = {"id": id, "state": "resolved", "value": {}}
        version = sum(1 for _, started in self.started if started == id)
        action = {"kind": "promise.settle", "head": {}, "data": settle}
        answer = self.ask("task.fulfill", id=id, version=version, action=action)
        assert answer.is_ok, answer

    @property
    def order(self) -> list[str]:
        return [id for _, id in self.started]


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.broker.close()


def test_no_more_run_than_the_group_may_have(world: World):
    world.limit(concurrency=3)
    for number in range(20):
        world.create(f"{number:02}")

    seen: list[int] = []
    for _ in range(60):
        world.step()
        seen.append(len(world.running))
        if len(world.running) == 3:
            world.end(world.running[0])

    assert max(seen) == 3
    assert sorted(world.order) == [f"{number:02}" for number in range(20)]


def test_what_ran_before_the_limit_was_set_counts(world: World):
    for number in range(5):
        world.create(f"old {number}")
    world.step()
    assert len(world.running) == 5
    world.limit(concurrency=2)
    world.create("new")

    for id in tuple(world.running[:4]):
        world.step()
        assert "new" not in world.running or len(world.running) <= 2
        world.end(id)
    world.step(STEP_MS * 2)

    assert "new" in world.order
    assert len(world.running) == 2


def test_a_key_has_its_own_limit(world: World):
    world.limit(keyConcurrency=1)
    for number in range(4):
        world.create(f"a{number}", key="a")
    world.create("b0", key="b")
    world.create("c0")

    world.step(STEP_MS * 4)

    assert sorted(world.running) == ["a0", "b0", "c0"]
    world.end("a0")
    world.step(STEP_MS * 4)
    assert sorted(world.running) == ["a1", "b0", "c0"]


def test_a_place_comes_back_when_its_holder_dies(world: World):
    world.limit(concurrency=1)
    world.create("a")
    world.create("b")
    world.step()
    assert world.order == ["a"]

    world.step(10_000)  # nobody sends a heartbeat
    world.step()

    assert world.order == ["a", "b"]


def test_a_suspended_execution_holds_no_place(world: World):
    world.limit(concurrency=1)
    world.ask("promise.create", id="awaited", timeoutAt=NOW + DAY_MS, tags={})
    world.create("a")
    world.create("b")
    world.step()
    callback = {"awaited": "awaited", "awaiter": "a"}
    action = {"kind": "promise.register_callback", "head": {}, "data": callback}
    assert world.ask("task.suspend", id="a", version=1, actions=[action]).is_ok
    world.running.remove("a")

    world.step(STEP_MS * 4)
    assert world.running == ["b"]

    world.ask("promise.settle", id="awaited", state="resolved", value={})
    world.step(STEP_MS * 4)
    assert world.running == ["b"]  # it is awake, and waits for its place
    world.end("b")
    world.step(STEP_MS * 4)
    assert world.running == ["a"]


def test_higher_priorities_are_served_first(world: World):
    world.limit(concurrency=0)
    for id, priority in (("x", None), ("low", "1"), ("high", "9"), ("high too", "9"), ("y", "4")):
        world.create(id, **({} if priority is None else {"priority": priority}))

    world.limit(concurrency=1)
    for _ in range(20):
        world.step()
        for id in tuple(world.running):
            world.end(id)

    assert world.order == ["high", "high too", "x", "y", "low"]


def test_the_rate_is_kept(world: World):
    world.limit(rate={"count": 20, "per": 1_000})
    for number in range(300):
        world.create(f"{number:03}")

    began_ms = world.now_ms
    while world.now_ms < began_ms + 10_000:
        world.step(10)
        for id in tuple(world.running):
            world.end(id)

    instants = [at_ms - began_ms for at_ms, _ in world.started]
    assert abs(len(instants) - (20 + 10 * 20)) <= 3
    for first, begin in enumerate(instants):
        within = [at for at in instants[first:] if at < begin + 1_000]
        assert len(within) <= 40 + 1
    assert world.order == sorted(world.order)


def test_whoever_runs_something_itself_needs_a_place_as_well(world: World):
    world.limit(concurrency=1)
    create = {"id": "mine", "timeoutAt": NOW + DAY_MS, "tags": {"resonate:target": "g"}}
    action = {"kind": "promise.create", "head": {}, "data": create}
    other = {**action, "data": create | {"id": "mine too"}}

    first = world.ask("task.create", pid="w1", ttl=9_999, action=action)
    second = world.ask("task.create", pid="w1", ttl=9_999, action=other)

    assert (first.status, second.status) == (200, 409)
    assert second.data == "group 'g' runs 1 at a time: task 'mine too' waits for its turn"
    world.running.append("mine")
    world.started.append((NOW, "mine"))
    world.end("mine")
    world.step(STEP_MS * 4)
    assert world.running == ["mine too"]


def test_without_its_limits_a_group_gets_all_at_once(world: World):
    world.limit(concurrency=1)
    for number in range(5):
        world.create(f"{number}")
    world.step()
    assert len(world.running) == 1

    world.limit()
    world.step(STEP_MS * 4)

    assert len(world.running) == 5


def test_a_stopped_group_lets_time_pass(world: World):
    world.limit(concurrency=0)
    world.create("a")
    world.step()

    due_at_ms = world.broker.next_due_at_ms()

    assert due_at_ms == NOW + DAY_MS
