"""Executions whose process dies at every place."""

import pytest

from resonate_sdk.testing import exploration, explore, fake


def add_one(ctx, n):
    return n + 1


def three(ctx, n=0):
    for _ in range(3):
        n = yield ctx.run(add_one, n)
    return n


def fan_out(ctx):
    promises = []
    for n in range(3):
        promises.append((yield ctx.begin_run(add_one, n)))
    results = []
    for promise in promises:
        results.append((yield promise))
    yield ctx.sleep(60)
    return results


def remote(ctx):
    return (yield ctx.rpc("add_one", 1)) + 1


async def awaits(ctx):
    first, second = ctx.run(add_one, 1), ctx.run(add_one, 2)
    await ctx.sleep(60)
    return [await first, await second]


def fails(ctx):
    yield ctx.run(add_one, 1)
    raise LookupError("nothing there")


@pytest.mark.parametrize(
    ("func", "value"),
    [(three, 3), (fan_out, [1, 2, 3]), (remote, 3), (awaits, [2, 3])],
    ids=["3", "fan-out", "rpc", "async"],
)
def test_a_crash_anywhere_changes_no_result(func, value):
    exploration = explore(func, register=[add_one])

    assert exploration.expected.value == value
    assert len(exploration.runs) == 2 * len(set(exploration.checkpoints)) > 4


def test_an_exception_is_a_result():
    exploration = explore(fails)

    assert exploration.expected.error == "LookupError: nothing there"


def test_two_crashes_in_every_combination():
    def once(ctx, n):
        return (yield ctx.run(add_one, n))

    exploration = explore(once, args=(5,), crashes=2)

    places = 2 * len(exploration.checkpoints)
    assert len(exploration.runs) == places + places * (places - 1) // 2
    assert exploration.expected.value == 6


def test_steps_that_are_run_twice_are_named():
    assert explore(three).repeated == ("explored", "explored.1", "explored.2", "explored.3")


def test_a_result_that_depends_on_a_crash_is_found():
    runs = []

    def counts(ctx):
        runs.append(1)
        return len(runs)

    with pytest.raises(
        AssertionError, match=r"ended differently: without a crash gave 1, with a crash "
    ):
        explore(counts)


def test_a_step_that_is_not_idempotent_is_found():
    """The account is debited twice when the process dies between the effect and its record."""
    balance = []

    def debit(ctx):
        balance[0] -= 10
        return balance[0]

    def transfer(ctx):
        yield ctx.run(debit)
        return balance[0]

    with pytest.raises(AssertionError, match=r"before create:explored\.1 gave 80"):
        explore(transfer, prepare=lambda env: balance.__setitem__(slice(None), [100]))


def test_others_are_faked_and_prepared():
    def asks(ctx):
        price = yield ctx.rpc("price").options(target="shop")
        answer = yield (yield ctx.promise(id="answer"))
        return [price, answer]

    def prepare(env):
        env.worker("shop", register=[fake("price", returns=3)])
        env.promises.create("answer", expires_in=60)
        env.promises.resolve("answer", "yes")

    assert explore(asks, prepare=prepare).expected.value == [3, "yes"]


def test_an_exploration_that_does_not_end_is_ended():
    def never(ctx):
        while True:
            yield ctx.sleep(60)

    with pytest.raises(
        TimeoutError,
        match=r"took more than 0.2 s: its run 1, without a crash, has not ended after \d+ s of its "
        r"own time; if it ends at all, give it a longer time_limit= or fewer crashes=",
    ):
        explore(never, time_limit=0.2)


def test_an_exploration_of_many_ways_to_die_is_ended(monkeypatch):
    instants = iter(range(1_000))
    monkeypatch.setattr(exploration.time, "monotonic", lambda: next(instants))

    with pytest.raises(TimeoutError, match=r"its run \d+, with a crash (before|after) "):
        explore(three, time_limit=40)
