from functools import partial
from typing import Any

import pytest

from resonate_broker.kernel.submissions import Declare, Failed
from resonate_broker.operations.hello import hello
from resonate_broker.roster import Roster
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.requests import Hello
from resonate_sdk.protocol.responses import Answer, Welcome

WELCOME = Welcome(partitions=4, request_bytes_max=limits.MESSAGE_BYTES_MAX, version=limits.VERSION)


class Greeting:
    """One `hello`, the groups it told about, and its answer."""

    def __init__(self, **request: Any) -> None:
        self.groups: list[str] = []
        self.roster = Roster(lambda: 7)
        greet = partial(hello, partitions=4, on_group=self.groups.append, roster=self.roster)
        self.body = greet(Hello(**({"pid": "w1"} | request)))  # pyright: ignore[reportArgumentType]  # by name

    def send(self, completion: object) -> Answer:
        with pytest.raises(StopIteration) as stop:
            self.body.send(completion)
        return stop.value.value


def test_a_process_without_a_group_is_welcomed_at_once():
    greeting = Greeting()

    answer = greeting.send(None)

    assert answer == Answer(200, WELCOME)
    assert greeting.groups == []


def test_the_queues_of_a_group_are_made_before_its_worker_is_welcomed():
    greeting = Greeting(group="g")

    submission = greeting.body.send(None)
    groups_before = list(greeting.groups)
    answer = greeting.send(None)

    assert submission == Declare("g")
    assert groups_before == []
    assert (answer, greeting.groups) == (Answer(200, WELCOME), ["g"])
    assert [worker.pid for worker in greeting.roster.workers("g")] == ["w1"]


def test_a_group_whose_queues_cannot_be_made_is_answered_503_and_gets_no_hints():
    greeting = Greeting(group="g")
    greeting.body.send(None)

    answer = greeting.send(Failed("no connection"))

    assert answer.status == 503
    assert "'g'" in str(answer.data)
    assert greeting.groups == []
    assert greeting.roster.workers(None) == ()


def test_every_hello_tells_that_the_group_is_there():
    first, second = Greeting(group="g"), Greeting(group="g", slots=3, in_flight=1, sdk="py 1")

    for greeting in (first, second):
        greeting.body.send(None)
        greeting.send(None)

    assert first.groups == second.groups == ["g"]
