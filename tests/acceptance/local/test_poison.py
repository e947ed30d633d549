"""What can never come to an end is told, or at least does not run in circles."""

import sys
from itertools import pairwise

import pytest

from resonate_sdk import Promise
from resonate_sdk.testing import Environment
from tests.acceptance.local.processes import script


@pytest.mark.parametrize(
    "what",
    ["own promise", "deep recursion", "number as tag", "empty id"],
)
def test_what_cannot_be_waited_for_or_made_is_told_to_the_function(what):
    with script("poison", what) as poison:
        settled = poison.wait_for("settled")
        runs = int(poison.wait_for("runs"))

    assert settled != "no", f"it was begun {runs} times and nobody was told"
    assert runs <= 3


def ends_the_process(ctx):
    sys.exit(3)


def waits_for_what_nobody_has_made(ctx):
    yield Promise("nowhere")


def waits_for_a_promise_of_another_execution(ctx):
    yield (yield ctx.begin_run(lambda ctx: 1))
    yield Promise("other.1")


@pytest.mark.parametrize(
    "body",
    [
        ends_the_process,
        waits_for_what_nobody_has_made,
        waits_for_a_promise_of_another_execution,
    ],
)
def test_what_is_given_back_is_given_back_ever_later(body):
    begun_at_ms: list[int] = []

    with Environment() as env:
        worker = env.worker(register=[body])
        worker.client.on("pass_start", lambda happening: begun_at_ms.append(happening.at_ms))
        handle = env.client("caller").options(target="default").begin_rpc("x", body)
        env.advance(minutes=1)
        assert not handle.done()

    pauses_ms = [later - earlier for earlier, later in pairwise(begun_at_ms)]
    assert 5 <= len(begun_at_ms) <= 8
    assert all(later > 1.4 * earlier for earlier, later in pairwise(pauses_ms[:5]))
