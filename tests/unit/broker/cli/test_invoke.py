import math
from typing import Any

import pytest
import typer

from resonate_broker.cli.calls import encoded_call
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.invoke import FOR_EVER, call_request, complete_wait, read_wait_s
from resonate_sdk import Resonate
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.functions.call_envelope import decode_call
from resonate_sdk.protocol import tags as tag

NOW = 1_700_000_000_000


def request(**given):
    defaults: dict[str, Any] = {
        "call": encoded_call("foo", 1, [], None),
        "function": tag.function("foo", 1),
        "timeout_ms": 60_000,
        "target": "amqp://any@default",
        "delay_ms": None,
        "tags": {},
        "now_ms": NOW,
    }
    return call_request("a", **{**defaults, **given})


def test_tags_go_along_and_those_of_the_system_stay():
    own = request(tags={"team": "sales", tag.PRIORITY: "7"}, delay_ms=1_000).tags

    assert (own["team"], own[tag.PRIORITY]) == ("sales", "7")
    assert own[tag.DELAY] == str(NOW + 1_000)


@pytest.mark.parametrize(
    ("arguments", "completed"),
    [
        (["a", "--wait"], ["a", f"--wait={FOR_EVER}"]),
        (["--wait", "30", "a"], ["--wait=30", "a"]),
        (["--wait", "1m30s", "a"], ["--wait=1m30s", "a"]),
        (["--wait", "a"], [f"--wait={FOR_EVER}", "a"]),
        (["--wait", "-f", "foo"], [f"--wait={FOR_EVER}", "-f", "foo"]),
        (["--wait=5", "a"], ["--wait=5", "a"]),
        (["--arg", "--wait", "a"], ["--arg", "--wait", "a"]),
        (["a", "--", "--wait"], ["a", "--", "--wait"]),
        (["a", "--arg"], ["a", "--arg"]),
    ],
)
def test_the_time_to_wait_may_be_left_out(arguments, completed):
    assert complete_wait(arguments, {"--arg", "-f"}) == completed


@pytest.mark.parametrize(
    ("text", "wait_s"), [(FOR_EVER, math.inf), ("30", 30), ("0.5", 0.5), ("2m", 120)]
)
def test_the_time_to_wait_is_a_number_of_seconds_or_a_duration(text, wait_s):
    assert read_wait_s(text) == wait_s


def test_another_time_to_wait_is_refused():
    with pytest.raises(typer.BadParameter, match=r"write 500ms.*, or a number of seconds"):
        read_wait_s("soon")


def test_a_call_is_written_as_the_sdk_writes_it():
    with Resonate.local() as client:
        client.options(target="billing", version=2).begin_rpc("a", "foo", 1, "x", k=None).created()
        expected = client.promises.get("a").tags

    made = request(
        call=encoded_call("foo", 2, [1, "x"], {"k": None}),
        function=tag.function("foo", 2),
        target="amqp://any@billing",
    )

    call = decode_call(Codec(), made.param)
    assert (call.func, call.args, call.kwargs, call.version) == ("foo", [1, "x"], {"k": None}, 2)
    assert made.tags == expected
    assert made.timeout_at_ms == NOW + 60_000


def test_a_delay_moves_the_deadline_along():
    made = request(delay_ms=5_000)

    assert made.tags[tag.DELAY] == str(NOW + 5_000)
    assert made.timeout_at_ms == NOW + 65_000


def test_a_call_that_breaks_a_limit_is_a_mistake_in_usage():
    with pytest.raises(CommandError, match="the limit is 64") as caught:
        request(tags={f"k{number}": "v" for number in range(64)})

    assert caught.value.code == ExitCode.USAGE
