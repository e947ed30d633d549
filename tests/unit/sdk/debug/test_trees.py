"""Executions as text."""

import re

from resonate_sdk.debug import explain
from resonate_sdk.testing import Environment


def add(ctx, a, b):
    return a + b


def inner(ctx):
    yield ctx.sleep(60)
    yield ctx.run(add, 1, 2)
    raise LookupError("nothing there")


def outer(ctx):
    yield ctx.random.random()
    promise = yield ctx.begin_rpc(inner).options(id="chosen")
    yield ctx.race([promise, ctx.promise()])


def test_a_tree_shows_what_was_called_how_it_ended_and_what_is_waited_for():
    with Environment() as env:
        env.worker(register=[inner, outer])
        env.client("x").options(target="default").begin_rpc("id", outer)
        env.run_until_idle()
        before = env.tree("id")
        env.advance(minutes=2)

        assert before.splitlines() == [
            "id outer@1 pending",
            "  id.1 random.random resolved after 0 s",
            "  id.3 promise pending",
            "  chosen inner@1 pending",
        ]
        assert env.tree("id").splitlines() == [
            "id outer@1 rejected after 60 s",
            "  id.1 random.random resolved after 0 s",
            "  id.3 promise rejected_canceled after 60 s",
            "  chosen inner@1 rejected after 60 s",
            "  id.4 choice resolved after 0 s",
        ]
        assert env.tree("chosen").splitlines() == [
            "chosen inner@1 rejected after 60 s",
            "  chosen.1 sleep resolved after 60 s",
            "  chosen.2 add resolved after 0 s",
        ]


def stuck(ctx):
    yield ctx.begin_rpc("nobody").options(target="elsewhere")
    yield ctx.promise(id="answer")


def test_an_explanation_says_who_works_on_what_and_for_how_long():
    with Environment() as env:
        worker = env.worker(register=[stuck])
        client = env.client("x")
        client.options(target="default").begin_rpc("id", stuck)
        env.run_until_idle()
        env.advance(minutes=1)
        said = explain(client, "id")

        assert said.splitlines() == [
            "id stuck@1 pending for 60 s, suspended",
            "  id.1 nobody@1 pending for 60 s, waits for a worker of amqp://any@elsewhere",
            "  answer promise pending for 60 s",
        ]
        assert worker.pid not in said


def test_an_explanation_names_the_holder_and_what_fails():
    def unknown_here(ctx):
        return (yield ctx.run(fails))

    def fails(ctx):
        raise ConnectionError("the bank does not answer")

    with Environment() as env:
        worker = env.worker(register=[unknown_here])
        client = env.client("x")
        client.options(target="default").begin_rpc("id", unknown_here)
        env.advance(seconds=3)

        first, second = explain(client, "id").splitlines()
        assert re.fullmatch(rf"id unknown_here@1 pending for 3 s, run by {worker.pid} .*", first)
        assert second == "  id.1 fails pending for 3 s"
