"""`resonate dlq` on letters of all kinds of publishers."""

import json
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from typer.testing import CliRunner

from resonate_broker.cli import dlq
from resonate_broker.cli.program import app
from resonate_broker.config import Config
from resonate_broker.integration.dead_letters import DIED_AT_HEADER
from resonate_sdk import Resonate
from resonate_sdk.protocol.topology import Names
from tests import logs
from tests.integration.amqp.foreign import request
from tests.integration.amqp.plain.conftest import GROUP, Prices
from tests.integration.amqp.plain.test_submit import take
from tests.integration.amqp.server import ServerThread

SECONDS_MAX = 30
USAGE = 2
NOT_FOUND = 4
OTHER_STATE = 5
HEADERS = {"resonate-func": "price", "resonate-target": GROUP}


class Shell:
    """Where an operator types commands."""

    def __init__(self, config: Config) -> None:
        self._environment = {
            "RESONATE_URL": config.url,
            "RESONATE_NAMESPACE": config.namespace,
        }

    def dlq(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run `resonate dlq`."""
        return self.run("dlq", *arguments)

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit code and what was printed."""
        with logs.restored():
            ended = CliRunner().invoke(app, [*arguments, "--json"], env=self._environment)
        return ended.exit_code, json.loads(ended.stdout or ended.stderr)

    def letters(self) -> list[dict[str, Any]]:
        """What `list` shows."""
        code, document = self.dlq("list")
        assert code == 0
        return document["letters"]


@pytest.fixture
def shell(config: Config, server: ServerThread) -> Shell:
    return Shell(config)


def publish(channel: BlockingChannel, names: Names, id: str, **properties: Any) -> None:
    """An invocation that cannot be answered, since its reply queue is not allowed."""
    merged: dict[str, Any] = {
        "reply_to": "payments",
        "correlation_id": "c1",
        "headers": HEADERS,
        **properties,
    }
    channel.basic_publish(
        names.submit, "invoke", b'"pot"', pika.BasicProperties(message_id=id, **merged)
    )


def until_dead(channel: BlockingChannel, names: Names, count: int) -> None:
    """Wait for so many letters, and leave them where they are."""
    messages = channel.consume(names.dead_queue, inactivity_timeout=SECONDS_MAX)
    for number, (method, _, _) in enumerate(messages, start=1):
        assert method is not None, f"{number - 1} letters instead of {count}"
        if number == count:
            channel.basic_nack(method.delivery_tag, multiple=True, requeue=True)
            break
    channel.cancel()


def test_a_letter_is_shown_with_who_why_when_and_of_what(
    shell: Shell, channel: BlockingChannel, names: Names
):
    publish(channel, names, "order-1", user_id="guest")
    until_dead(channel, names, 1)

    (listed,) = shell.letters()
    code, shown = shell.dlq("show", listed["id"])

    assert code == 0
    assert "'payments' is not allowed" in shown["reason"]
    assert (shown["promise_id"], shown["message_id"], shown["user_id"]) == (
        "order-1",
        "order-1",
        "guest",
    )
    assert (shown["exchange"], shown["routing_key"]) == (names.submit, "invoke")
    assert shown["body"] == '"pot"'
    assert shown["headers"] == HEADERS
    assert shown["died_at_ms"] == shown["first_died_at_ms"] > 0
    assert shell.letters() == [listed]  # looking takes nothing away


def test_a_replayed_letter_is_the_message_that_it_was(
    shell: Shell, channel: BlockingChannel, names: Names
):
    """It dies again of the same cause, which shows what was published."""
    packed = {"content_type": "application/json; charset=utf-8", "content_encoding": "identity"}
    publish(channel, names, "order-1", **packed)
    until_dead(channel, names, 1)
    (before,) = shell.letters()

    code, outcome = shell.dlq("replay", before["id"])
    until_dead(channel, names, 1)
    (after,) = shell.letters()
    letter, _ = take(channel, names.dead_queue)

    assert (code, outcome) == (0, {"letters": {before["id"]: "sent again"}})
    assert after["died_at_ms"] >= before["died_at_ms"] == after["first_died_at_ms"]
    assert (letter.reply_to, letter.correlation_id) == ("payments", "c1")
    assert (letter.content_type, letter.content_encoding) == tuple(packed.values())
    changed = {"id", "died_at_ms"}
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }


def test_a_letter_runs_when_its_cause_is_gone_and_not_twice(
    shell: Shell, channel: BlockingChannel, names: Names, worker: Resonate, prices: Prices
):
    for number in range(2):
        headers = {**HEADERS, "resonate-routing-key": "invoke", "resonate-message-id": "order-1"}
        headers |= {"resonate-exchange": names.submit, "resonate-reason": "was repaired"}
        letter = pika.BasicProperties(headers={**headers, DIED_AT_HEADER: 1_000 + number})
        channel.basic_publish(names.dead_exchange, "any", b'"pot"', letter)
    until_dead(channel, names, 2)
    first, second = shell.letters()

    assert shell.dlq("replay", first["id"])[0] == 0
    assert worker.get("order-1").result() == 3
    code, outcome = shell.dlq("replay", second["id"])

    assert code == OTHER_STATE
    assert outcome["letters"] == {second["id"]: "left: promise 'order-1' is resolved"}
    assert shell.letters() == [second]
    assert shell.dlq("replay", second["id"], "--force")[0] == 0
    assert shell.letters() == []
    assert prices.asked == ["order-1"]


def test_a_letter_that_nobody_takes_any_more_holds_up_no_other(
    shell: Shell, channel: BlockingChannel, names: Names
):
    came_from = (
        "no-such-exchange",
        names.submit,
        "",
    )  # the broker closes the channel for the first
    for number, exchange in enumerate(came_from):
        headers = {**HEADERS, "resonate-exchange": exchange, "resonate-reason": "was repaired"}
        headers |= {"resonate-routing-key": f"nowhere-{number}" if number != 1 else "invoke"}
        headers |= {"resonate-message-id": f"order-{number}", DIED_AT_HEADER: 1_000 + number}
        letter = pika.BasicProperties(headers=headers, message_id=f"order-{number}")
        channel.basic_publish(names.dead_exchange, "any", b'"pot"', letter)
    until_dead(channel, names, 3)
    gone, fine, missing = shell.letters()

    code, outcome = shell.dlq("replay", "--all")

    assert code == OTHER_STATE
    assert outcome["letters"][fine["id"]] == "sent again"
    assert "no exchange 'no-such-exchange'" in outcome["letters"][gone["id"]]
    assert outcome["letters"][missing["id"]] == "left: there is no queue 'nowhere-2'"
    assert shell.letters() == [gone, missing]


def test_discarding_takes_away_what_is_named_and_a_dry_run_nothing(
    shell: Shell, channel: BlockingChannel, names: Names
):
    for id in ("order-1", "order-2"):
        publish(channel, names, id)
    until_dead(channel, names, 2)
    first, second = shell.letters()

    assert shell.dlq("discard", "--all", "--dry-run") == (
        0,
        {"letters": {first["id"]: "would be discarded", second["id"]: "would be discarded"}},
    )
    assert shell.dlq("discard", first["id"])[0] == 0
    assert [letter["promise_id"] for letter in shell.letters()] == ["order-2"]
    assert shell.dlq("discard", "--all")[0] == 0
    assert shell.letters() == []


def test_so_many_letters_are_listed_as_are_asked_for(
    shell: Shell, channel: BlockingChannel, names: Names
):
    for id in ("order-1", "order-2"):
        publish(channel, names, id)
    until_dead(channel, names, 2)

    _, document = shell.dlq("list", "--limit", "1")

    assert len(document["letters"]) == 1
    assert len(shell.letters()) == 2


def test_a_dry_run_of_a_replay_sends_nothing(shell: Shell, channel: BlockingChannel, names: Names):
    publish(channel, names, "order-1")
    until_dead(channel, names, 1)
    (letter,) = shell.letters()

    foretold = shell.dlq("replay", "--all", "--dry-run")

    assert foretold == (0, {"letters": {letter["id"]: "would be sent again"}})
    assert shell.letters() == [letter]


def test_a_letter_that_is_no_text_and_names_no_promise_is_shown_and_sent_again(
    shell: Shell, channel: BlockingChannel, names: Names
):
    headers = {"tenant": "ü", "key": b"\xff"}
    unreadable = pika.BasicProperties(headers=headers)
    channel.basic_publish(names.submit, "promise.get", b"pot \xff", unreadable)
    until_dead(channel, names, 1)
    (letter,) = shell.letters()

    code, shown = shell.dlq("show", letter["id"])
    sent = shell.dlq("replay", letter["id"])
    until_dead(channel, names, 1)

    assert (code, shown["body"], shown["promise_id"]) == (0, "pot \ufffd", None)
    assert shown["headers"] == {"tenant": "ü"}
    assert sent == (0, {"letters": {letter["id"]: "sent again"}})


def test_a_letter_of_a_promise_that_is_pending_is_sent_again(
    shell: Shell, channel: BlockingChannel, names: Names
):
    shell.run("promises", "create", "order-1", "--timeout", "1h")
    settle = {"id": "order-1", "state": "resolved", "value": {}}
    body = json.dumps(request("promise.settle", settle)).encode()
    headers = {"resonate-exchange": names.submit, "resonate-routing-key": "promise.settle"}
    letter = pika.BasicProperties(headers={**headers, "resonate-reason": "was repaired"})
    channel.basic_publish(names.dead_exchange, "any", body, letter)
    until_dead(channel, names, 1)
    (dead,) = shell.letters()

    sent = shell.dlq("replay", "--all")

    assert sent == (0, {"letters": {dead["id"]: "sent again"}})
    assert shell.run("promises", "get", "order-1")[1]["state"] == "resolved"
    assert shell.letters() == []


@pytest.mark.parametrize("command", ["replay", "discard"])
def test_either_letters_are_named_or_all_are_meant(
    shell: Shell, channel: BlockingChannel, names: Names, command: str
):
    publish(channel, names, "order-1")
    until_dead(channel, names, 1)
    (letter,) = shell.letters()

    for arguments in ((), ("--all", letter["id"])):
        code, document = shell.dlq(command, *arguments)
        assert (code, document["error"]) == (USAGE, "name letters, or say --all")

    assert shell.letters() == [letter]


def test_a_letter_that_went_meanwhile_is_said_to_be_somebody_elses(config: Config, shell: Shell):
    outcomes = dlq._act(config, {"3f2a"}, dlq._remove, "discarding")

    assert outcomes == {"3f2a": "left: somebody else has taken it"}


def test_what_the_broker_gave_up_is_a_letter_too(
    shell: Shell, channel: BlockingChannel, names: Names
):
    source: str = channel.queue_declare(
        "", exclusive=True, arguments={"x-dead-letter-exchange": names.dead_exchange}
    ).method.queue
    channel.basic_publish("", source, b'{"kind": "promise.get", "data": {"id": "a"}}')
    method, _, _ = next(channel.consume(source, inactivity_timeout=SECONDS_MAX))
    assert method is not None
    channel.basic_reject(method.delivery_tag, requeue=False)
    channel.cancel()
    until_dead(channel, names, 1)

    (letter,) = shell.letters()

    assert letter["reason"] == "the broker gave it up: rejected, 1 times"
    assert (letter["exchange"], letter["routing_key"]) == ("", source)
    assert letter["promise_id"] == "a"
    assert letter["died_at_ms"] > 0


@pytest.mark.parametrize("command", ["show", "replay", "discard"])
def test_a_letter_that_is_not_there_is_not_found(shell: Shell, command: str):
    ended, document = shell.dlq(command, "nothing")

    assert ended == NOT_FOUND
    assert document["error"].startswith("no dead letter nothing: `resonate dlq list` shows")
