"""Executions as text."""

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
