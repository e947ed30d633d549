"""What a program is told of its executions: the occasions that a worker alone knows."""

from resonate_sdk import Constant, Resonate
from resonate_sdk.testing import Environment


def told_of(client, occasion):
    happenings = []
    client.on(occasion, happenings.append)
    return happenings


def test_a_lease_that_was_lost_is_told():
    failures = []

    def flaky(ctx):
        if not failures:
            failures.append(ctx.id)
            raise LookupError("not yet")
        return "done"

    with Environment() as env:
        first = env.worker(register=[flaky], retry_policy=Constant(120))
        lost = told_of(first.client, "fence_lost")
        handle = env.client("caller").options(target="default").begin_rpc("x", flaky)
        env.run_until_idle()
        env.partition(first)  # while it waits before the next attempt
        env.worker(register=[flaky])
        env.advance(minutes=1)
        env.heal(first)

        assert handle.result() == "done"
        env.advance(minutes=5)
        assert [(h.occasion, h.id, h.origin_id) for h in lost] == [("fence_lost", "x", "x")]


def test_a_task_that_is_halted_is_told():
    with Environment() as env:
        worker = env.worker(poison_attempts=3)
        poison = told_of(worker.client, "poison")
        env.client("caller").options(target="default").begin_rpc("x", "nobody_knows_it")
        env.advance(minutes=30)

        assert [(h.id, h.origin_id) for h in poison] == [("x", "x")]
        assert "function nobody_knows_it is not registered here" in str(poison[0].error)


def test_hooks_are_told_on_a_client_that_runs_functions_itself():
    def twice(ctx, n):
        return (yield ctx.run(lambda ctx: 2 * n))

    with Resonate.local() as resonate:
        occasions = [told_of(resonate, name) for name in ("pass_start", "pass_end", "retry")]
        function = resonate.register(twice)

        assert function.run("x", 4) == 8
        assert [len(happenings) for happenings in occasions] == [1, 1, 0]
