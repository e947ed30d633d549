"""The traps of RabbitMQ, each by its facts."""

from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker.cli.broker import Depth
from resonate_broker.cli.declared import Declaration
from resonate_broker.cli.diagnosis import Broker, Facts, Finding, diagnose, examine, version_of
from resonate_broker.cli.management import Channel, Connection, FeatureFlag, Node, QueueStatus
from resonate_broker.cli.traps import QUESTIONS
from resonate_sdk.protocol.topology import Names

NODE = Node(name="one")
QUEUE = QueueStatus(name="ns.task.g", type="quorum", members=("one",), online=("one",))
WELL = Broker(version="4.1.0", nodes=(NODE,), queues=(QUEUE,))
THERE = Declaration(kind="queue", name="ns.dead", about="quorum", state="there")
FACTS = Facts(names=Names("ns"), declarations=(THERE,), depths={}, broker=WELL)


def troubles(**changes: Any) -> list[Finding]:
    """What is found if these facts are different."""
    return [finding for finding in diagnose(replace(FACTS, **changes)) if finding.level != "ok"]


def troubles_of(**changes: Any) -> list[Finding]:
    """What is found if the broker is different."""
    return troubles(broker=replace(WELL, **changes))


def test_of_a_broker_that_is_well_only_good_is_told():
    assert [(finding.level, finding.sentence) for finding in diagnose(FACTS)] == [
        ("ok", "a server answers"),
        ("ok", "1 objects are declared as they should be"),
        ("ok", "RabbitMQ 4.1.0"),
    ]


def test_without_the_management_api_it_is_told_what_was_not_looked_at():
    unseen = replace(THERE, state="unseen")

    found = troubles(broker=None, blind="none is given", declarations=(THERE, unseen))

    assert [(finding.level, finding.about) for finding in found] == [
        ("unseen", "topology"),
        ("unseen", "broker"),
    ]
    assert all(finding.sentence.endswith(": none is given") for finding in found)


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"server_trouble": "no server answers"}, "error", "no server answers"),
        (
            {"declarations": (replace(THERE, state="missing"),)},
            "error",
            "queue ns.dead quorum is missing: resonate topology apply",
        ),
        (
            {"declarations": (replace(THERE, state="different", difference="x is 1"),)},
            "error",
            "queue ns.dead is declared otherwise (x is 1)",
        ),
        (
            {"depths": {"ns.submit.p01": Depth(5, 0)}},
            "error",
            "nobody takes the requests in ns.submit.p01: 5 wait",
        ),
        ({"depths": {"ns.dead": Depth(3, 0)}}, "warning", "ns.dead holds 3: resonate dlq list"),
        (
            {"depths": {"ns.task.g": Depth(2, 0)}, "groups": ("g",)},
            "warning",
            "group g has work and no worker; hints in its queue: 2",
        ),
    ],
)
def test_what_amqp_tells(changes: dict[str, Any], level: str, words: str):
    (finding,) = troubles(**changes)

    assert finding.level == level
    assert words in finding.sentence


def test_queues_that_are_served_are_no_trouble():
    depths = {"ns.submit.p00": Depth(5, 1), "ns.dead": Depth(0, 0), "ns.task.g": Depth(9, 2)}

    assert troubles(depths={**depths, "ns.task.h": None}, groups=("g", "h")) == []


def policy(definition: dict[str, Any], name: str = "ns.submit.p00") -> tuple[QueueStatus, ...]:
    return (replace(QUEUE, name=name, policy="p", effective_policy_definition=definition),)


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"version": "3.9.27"}, "error", "RabbitMQ 3.9.27 is older than 3.10"),
        ({"nodes": (replace(NODE, running=False),)}, "error", "node one is down"),
        ({"nodes": (replace(NODE, mem_alarm=True),)}, "error", "run out of memory: publishers"),
        ({"nodes": (replace(NODE, disk_free_alarm=True),)}, "error", "run out of disk"),
        ({"queues": (replace(QUEUE, state="down"),)}, "error", "ns.task.g is down"),
        (
            {"queues": (QueueStatus(name="ns.tap", durable=False),)},
            "error",
            "ns.tap is transient and not exclusive",
        ),
        (
            {"queues": (replace(QUEUE, members=("one", "two", "three")),)},
            "error",
            "ns.task.g has lost its majority: 1 of 3 members",
        ),
        (
            {"nodes": (NODE, NODE, NODE)},
            "warning",
            "ns.task.g has 1 member on 3 nodes: rabbitmq-queues grow",
        ),
        ({"queues": policy({"message-ttl": 5})}, "error", "p sets message-ttl = 5 on ns.submit"),
        ({"queues": policy({"expires": 5})}, "error", "it deletes the queue when it is idle"),
        ({"queues": policy({"delivery-limit": -1})}, "error", "sets delivery-limit = -1"),
        ({"queues": policy({"delivery-limit": 20})}, "warning", "sets delivery-limit = 20"),
        ({"queues": policy({"max-length": 9})}, "warning", "it limits the queue"),
        (
            {"queues": policy({"ha-mode": "all"}, "ns.worker.g.p1")},
            "error",
            "mirrors classic queues",
        ),
        (
            {"connections": (Connection(name="c", state="blocked", client_properties=[]),)},
            None,
            "",
        ),
        (
            {
                "connections": (
                    Connection(
                        name="c",
                        state="blocked",
                        client_properties={"connection_name": "resonate/sdk/g/p1/publish"},
                    ),
                )
            },
            "warning",
            "resonate/sdk/g/p1/publish is blocked by an alarm",
        ),
        (
            {
                "connections": (
                    Connection(
                        name="c",
                        client_properties={
                            "connection_name": "resonate/sdk/g/p1/consume",
                            "product": "aiormq",
                            "version": "6.8.1",
                        },
                    ),
                )
            },
            "error",
            "uses aiormq 6.8.1, whose consumers stay away",
        ),
        (
            {"channels": (Channel(name="c", global_prefetch_count=5),)},
            "warning",
            "a prefetch that consumers share",
        ),
        (
            {"flags": (FeatureFlag(name="quorum_queue", state="disabled"),)},
            "error",
            "feature flag quorum_queue is disabled",
        ),
    ],
)
def test_what_the_management_api_tells(changes: dict[str, Any], level: str | None, words: str):
    found = troubles_of(**changes)

    assert [finding.level for finding in found] == ([] if level is None else [level])
    assert all(words in finding.sentence for finding in found)


@pytest.mark.parametrize(
    "changes",
    [
        {"queues": policy({"message-ttl": 5}, "ns.worker.g.p1")},
        {"queues": policy({"message-ttl": 5}, "other.queue")},
        {"queues": policy({"queue-leader-locator": "balanced"})},
        {"queues": (QueueStatus(name="ns.reply.p1", durable=False, exclusive=True),)},
        {"flags": (FeatureFlag(name="stream_filtering", state="disabled"),)},
        {"version": "4.3.6-beta.1"},
    ],
)
def test_what_does_no_harm_is_left_alone(changes: dict[str, Any]):
    assert troubles_of(**changes) == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("3.10.8", (3, 10, 8)), ("4.3.6-rc.1", (4, 3, 6, 1)), ("7", (7,)), ("", ()), ("x", ())],
)
def test_the_numbers_of_a_version(text: str, numbers: tuple[int, ...]):
    assert version_of(text)[:3] == numbers[:3]


def test_what_was_found_answers_the_questions_about_traps():
    facts = replace(
        FACTS,
        broker=replace(
            WELL, nodes=(replace(NODE, mem_alarm=True),), queues=policy({"max-length": 1})
        ),
    )

    hits = [answer.question for answer in examine(facts, diagnose(facts)) if not answer.is_fine]

    assert hits == [QUESTIONS["expiry"].text, QUESTIONS["alarms"].text]
