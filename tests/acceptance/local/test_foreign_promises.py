"""Promises of other trees, which an execution knows by their ids."""

import pytest

from resonate_sdk import ApplicationError, Resonate
from resonate_sdk.testing import Environment

WAIT_S = 20.0


def test_one_that_settles_before_it_is_awaited_is_not_awaited_for_ever(resonate: Resonate):
    """The server tells what has settled when it refuses to let an execution sleep."""
    runs: list[str] = []

    def answer(ctx):
        resonate.promises.resolve("question", 42)

    def end(ctx):
        resonate.promises.resolve("asks.end")

    @resonate.register
    def asks(ctx):
        runs.append(ctx.id)
        question = yield ctx.promise(id="question")
        last = yield ctx.promise(id="asks.end")
        yield ctx.run(answer)
        found = yield question
        yield ctx.run(end)
        yield last
        return found

    resonate.promises.create("question", expires_in=60)

    assert asks.run("asks") == 42
    assert len(runs) <= 3


def interview(ctx):
    answers: list[str] = []
    for _ in range(2):
        question = yield ctx.promise(timeout=3_600)
        try:
            answers.append((yield question))
        except ApplicationError as error:
            answers.append(f"refused: {error.data}")
    return answers


@pytest.mark.parametrize("restarts", [False, True])
def test_two_questions_are_answered_one_after_the_other(restarts):
    with Environment() as env:
        worker = env.worker(register=[interview])
        handle = env.client("x").options(target="default").begin_rpc("id", interview)
        for id, answer in (("id.1", "blue"), ("id.2", "green")):
            env.run_until_idle()
            assert env.promises.get(id).pending
            if restarts:
                env.restart(worker)
            env.promises.resolve(id, answer)
            assert env.promises.resolve(id, "an afterthought").value == answer
        assert handle.result() == ["blue", "green"]


def test_a_question_may_be_refused_with_a_reason():
    with Environment() as env:
        env.worker(register=[interview])
        handle = env.client("x").options(target="default").begin_rpc("id", interview)
        env.run_until_idle()
        env.promises.reject("id.1", {"by": "Ada"})
        env.run_until_idle()
        env.promises.resolve("id.2", "green")

        assert handle.result() == ["refused: {'by': 'Ada'}", "green"]
