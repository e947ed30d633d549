"""Why a promise is not settled: each cause by its facts."""

import re
from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker.cli.broker import Depth
from resonate_broker.cli.causes import Surroundings, explain, queue_called
from resonate_broker.cli.tree_view import Node, build_tree
from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import GroupRecord, Rate, TaskDetails, TaskRecord, Trouble
from tests.unit.broker.cli.builders import (
    BORN,
    make_call,
    make_local,
    make_record,
    make_sleep,
    make_task,
    stored,
)

NOW = BORN + 60_000
SERVED = Surroundings(
    depths={"workers": Depth(ready=0, consumers=2)},
    busy={"workers": 3},
    connected={"workers": frozenset({"p1", "p2"})},
)


def task(id: str = "a", state: Any = "pending", *, version: int = 0, **details: Any) -> TaskRecord:
    fields = {"pid": "p1", "lease_ms": 15_000} if state == "acquired" else {}
    return replace(
        make_task(id, state, version=version, **fields),
        details=TaskDetails(group="workers", **details),
    )


def cause_of(root: Node, around: Surroundings = SERVED) -> tuple[str, str]:
    sentences, (reason,) = explain(root, around, NOW)
    assert reason.sentence in sentences
    return reason.cause, reason.sentence


def call(own: TaskRecord | None, **fields: Any) -> Node:
    return Node(record=make_call("a", "pay", **fields), task=own)


def test_what_is_settled_waits_for_nothing():
    resolved = Node(record=make_call("a", "pay", "resolved", took_ms=50_000))
    failed = Node(record=make_call("a", "pay", "rejected", value=stored("no money")))

    assert explain(resolved, SERVED, NOW)[0] == ["a is settled: resolved 10s ago."]
    assert cause_of(failed) == ("settled", 'a is settled: rejected 58.8s ago, with "no money".')


def test_a_paragraph_says_what_it_is_why_it_waits_and_how_long_yet():
    root = call(task(state="halted"), timeout_at_ms=NOW + 120_000)

    sentences, _ = explain(root, SERVED, NOW)

    assert sentences == [
        "a, a call of pay, is pending for 1m.",
        "The task of a is halted: nobody runs it before resonate tasks continue a.",
        "a times out in 2m.",
    ]


def test_a_sleep_ends_by_itself():
    sleep = Node(record=make_sleep("a", parent="a", timeout_at_ms=NOW + 90_000))

    assert cause_of(sleep) == ("sleeps", "a sleeps for another 1m30s.")
    assert not explain(sleep, SERVED, NOW)[0][-1].startswith("a times out")


def test_a_promise_without_a_task_is_to_be_settled_by_somebody():
    cause, sentence = cause_of(Node(record=make_record("a")))

    assert cause == "is_to_be_settled"
    assert sentence.endswith("resonate promises resolve a.")


@pytest.mark.parametrize(
    ("details", "around", "cause", "words"),
    [
        ({"expires_at_ms": NOW + 9_000}, SERVED, "runs", "p1 is running a; .* loses it in 9s"),
        ({}, Surroundings(), "runs", "p1 is running a; .* loses it."),
        (
            {"expires_at_ms": NOW + 9_000},
            Surroundings(connected={"workers": frozenset({"p2"})}),
            "holder_not_connected",
            "p1 holds the task of a, but is not connected .* its lease runs out in 9s",
        ),
        (
            {"expires_at_ms": NOW - 2_000},
            SERVED,
            "lease_overdue",
            "its lease ran out 2s ago without a heartbeat",
        ),
    ],
)
def test_a_task_that_is_held(details, around, cause, words):
    found, sentence = cause_of(call(task(state="acquired", version=1, **details)), around)

    assert found == cause
    assert re.search(words, sentence), sentence


@pytest.mark.parametrize(
    ("details", "around", "cause", "words"),
    [
        (
            {"hint_at_ms": NOW - 500, "hints": 1, "retry_at_ms": NOW + 1_500},
            SERVED,
            "sent",
            "offered \\(once, last 500ms ago\\) to the 2 workers .* hold 3 tasks; .* again in 1.5s",
        ),
        (
            {"hint_at_ms": NOW - 500, "hints": 2},
            replace(SERVED, depths={"workers": Depth(ready=7, consumers=1)}, busy={}),
            "in_queue",
            "\\(2 times, .* hold no task; 7 offers wait in their queue",
        ),
        ({"queued_at_ms": NOW}, SERVED, "no_room", "waits for its turn behind the tasks"),
        (
            {"queued_at_ms": NOW},
            Surroundings(depths={"workers": Depth(ready=0, consumers=0)}),
            "no_worker",
            "group workers has none now",
        ),
        ({}, Surroundings(depths={"workers": None}), "unknown_group", "workers has no queue"),
        (
            {"lease_losses": 4, "retry_at_ms": NOW + 20_000},
            SERVED,
            "put_off",
            "lost it 4 times in a row.*to the next one in 20s",
        ),
    ],
)
def test_a_task_that_nobody_holds(details, around, cause, words):
    found, sentence = cause_of(call(task(**details)), around)

    assert found == cause
    assert re.search(words, sentence), sentence


def test_a_call_that_starts_later():
    root = call(task(), tags={tag.DELAY: str(NOW + 5_000)})

    assert cause_of(root) == ("starts_later", "a is to start in 5s.")


def test_a_call_for_one_process_that_is_not_there():
    cause, sentence = cause_of(call(task(), tags={tag.TARGET: "amqp://uni@workers/p9"}))

    assert cause == "no_such_worker"
    assert "Only process p9 of group workers" in sentence


@pytest.mark.parametrize(
    ("target", "details", "words"),
    [
        ("amqp-exchange://orders/price", {}, "not been published to exchange orders with routing"),
        (
            "amqp-exchange:///quotes",
            {"hint_at_ms": NOW - 3_000},
            "published 3s ago to queue quotes",
        ),
    ],
)
def test_a_call_of_a_service_that_knows_no_protocol(target, details, words):
    cause, sentence = cause_of(call(task(**details), tags={tag.TARGET: target}))

    assert cause == "called"
    assert words in sentence


@pytest.mark.parametrize(
    ("depth", "words"),
    [
        (None, "There is no such queue"),
        (Depth(ready=1, consumers=0), "1 message waiting and no consumers."),
        (Depth(ready=0, consumers=1), "0 messages waiting and 1 consumer."),
    ],
)
def test_a_call_of_a_queue_says_who_takes_what_waits_there(depth, words):
    root = call(task(), tags={tag.TARGET: "amqp-exchange:///quotes"})
    assert queue_called(root) == "quotes"

    _, sentence = cause_of(root, Surroundings(called={"quotes": depth}))

    assert words in sentence


@pytest.mark.parametrize("own", [None, make_task("a")])
def test_what_cannot_be_seen_is_not_invented(own):
    assert cause_of(call(own))[0] == "unknown"


def test_a_suspended_task_without_pending_children_waits_elsewhere():
    assert cause_of(call(task(state="suspended", version=1)))[0] == "waits_elsewhere"


def test_what_is_awaited_is_followed_to_its_ends():
    tasks = {
        "a": task("a", "suspended", version=1),
        "a.1": task("a.1", "suspended", version=1),
        "a.1.1": task("a.1.1", "halted"),
    }
    records = [
        make_call("a.1", "ship", parent="a"),
        make_call("a.1.1", "pack", parent="a.1"),
        make_sleep("a.2", parent="a"),
        make_local("a.3", "check", "resolved", parent="a"),
    ]

    sentences, reasons = explain(build_tree(make_call("a", "pay"), records, tasks), SERVED, NOW)

    assert [(reason.id, reason.cause) for reason in reasons] == [
        ("a.1.1", "halted"),
        ("a.2", "sleeps"),
    ]
    assert sentences[1] == "It waits, in the end, for a.1.1, a.2."


def test_of_many_ends_the_first_are_explained_and_the_others_counted():
    records = [make_record(f"a.{n}", tags={tag.PARENT: "a"}) for n in range(1, 6)]
    root = build_tree(make_call("a", "pay"), records, {"a": task("a", "suspended", version=1)})

    sentences, reasons = explain(root, SERVED, NOW)

    assert sentences[1] == "It waits, in the end, for a.1, a.2, a.3 and 2 more."
    assert len(reasons) == 5
    assert len(sentences) == 6


def test_a_holder_that_is_busy_is_the_cause_also_if_it_has_made_promises():
    root = build_tree(
        make_call("a", "pay"),
        [make_sleep("a.1", parent="a")],
        {"a": task("a", "acquired", version=1)},
    )

    assert cause_of(root)[0] == "runs"


def test_a_step_is_run_by_the_task_of_its_caller():
    step = Node(record=make_local("a.1", "check", parent="a"))
    runner = call(task("a", "halted"))
    resting = call(task("a", "suspended", version=1))

    sentences, (reason,) = explain(step, replace(SERVED, runner=runner), NOW)

    assert sentences[:2] == [
        "a.1, a step of check, is pending for 1m.",
        "It is run as a part of a.",
    ]
    assert (reason.id, reason.cause) == ("a", "halted")
    assert cause_of(step, replace(SERVED, runner=resting))[0] == "unknown"


def trouble(id: str = "a", **fields: Any) -> Trouble:
    told: dict[str, Any] = {"reason": "no money", "pid": "p7", "attempts": 3, "at_ms": NOW - 2_000}
    return Trouble(id=id, **(told | fields))


@pytest.mark.parametrize(
    ("own", "cause"),
    [
        (task(state="acquired", version=1, trouble=trouble()), "fails"),
        (task(hint_at_ms=NOW - 5, hints=1, trouble=trouble()), "fails"),
        (task(state="halted", trouble=trouble()), "halted"),
    ],
)
def test_what_the_last_holder_has_told_is_told_on(own, cause):
    found, sentence = cause_of(call(own))

    assert found == cause
    assert sentence.endswith("a has failed 3 times in p7, last 2s ago: no money.")


def test_when_it_is_tried_again_is_told_while_that_is_to_come():
    again = call(task(state="acquired", version=1, trouble=trouble(again_at_ms=NOW + 4_000)))
    soon = call(task(state="acquired", version=1, trouble=trouble(again_at_ms=NOW - 1)))

    assert "last 2s ago (again in 4s): no money" in cause_of(again)[1]
    assert "last 2s ago: no money" in cause_of(soon)[1]


@pytest.mark.parametrize(("state", "cause"), [("pending", "fails"), ("resolved", "runs")])
def test_a_step_fails_until_it_is_settled(state, cause):
    root = build_tree(
        make_call("a", "pay"),
        [make_local("a.1", "charge", state, parent="a")],
        {"a": task("a", "acquired", version=1, trouble=trouble("a.1"))},
    )

    found, sentence = cause_of(root)

    assert found == cause
    assert ("a.1 has failed 3 times" in sentence) == (cause == "fails")


LIMITED = GroupRecord(name="workers", concurrency=10, running=4)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (replace(LIMITED, running=10), "group workers has 10 of 10 running."),
        (
            replace(LIMITED, concurrency=0),
            "group workers is stopped, its limit is 0: `resonate groups set workers` lets it go on.",
        ),
        (
            replace(LIMITED, key_concurrency=1, key_running=1),
            "group workers has 1 of 1 with the key tenant running.",
        ),
        (
            replace(LIMITED, rate=Rate(count=1, per_ms=9_000), next_start_at_ms=NOW + 3_000),
            "group workers starts the next one in 3s, by its rate.",
        ),
        (
            replace(LIMITED, key_next_start_at_ms=NOW + 3_000),
            "group workers starts the next one with the key tenant in 3s, by its rate.",
        ),
    ],
)
def test_a_task_may_wait_for_a_place(limits, words):
    root = call(task(queued_at_ms=NOW), tags={tag.KEY: "tenant", tag.PRIORITY: "2"})

    cause, sentence = cause_of(root, replace(SERVED, limits={"a": limits}))

    assert cause == "no_place"
    assert words in sentence
    assert sentence.endswith("Its priority is 2: higher ones go first.")


def test_where_there_is_a_place_it_is_not_the_limits():
    around = replace(SERVED, limits={"a": LIMITED})

    assert cause_of(call(task(queued_at_ms=NOW)), around)[0] == "no_room"


def test_the_rate_of_starts_does_not_keep_back_what_has_started():
    around = replace(SERVED, limits={"a": replace(LIMITED, next_start_at_ms=NOW + 3_000)})

    assert cause_of(call(task(queued_at_ms=NOW, version=2)), around)[0] == "no_room"
