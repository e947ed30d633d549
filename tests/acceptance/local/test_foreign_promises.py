"""Promises of other trees, which an execution knows by their ids."""

from resonate_sdk import Resonate

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
