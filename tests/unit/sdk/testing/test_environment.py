"""Processes, time and faults inside a test."""

from datetime import UTC, datetime, timedelta

import pytest

from resonate_sdk import Constant, HandleTimeout, TimedOutError, UsageError
from resonate_sdk.testing import Environment, fake

DAY_S = 86_400


def add_one(ctx, n):
    return n + 1


def twice(ctx, n):
    once = yield ctx.run(add_one, n)
    return (yield ctx.run(add_one, once))


def remind(ctx, days):
    yield ctx.sleep(days * DAY_S)
    return "it is time"


def remote(ctx):
    return (yield ctx.rpc("price", "tea").options(target="shop"))


def waits(ctx):
    return (yield (yield ctx.promise(id="answer")))


def test_a_function_runs_to_its_end_in_no_time(env: Environment):
    began = env.now
    handle = env.client().begin_run("id", env.register(twice) or "twice", 1)

    assert handle.result() == 3
    assert env.now == began == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_example_of_the_documentation(env: Environment):
    env.worker(register=[remind])
    handle = env.client().begin_run("id", remind, 30)

    env.run_until_idle()
    assert not handle.done()
    env.advance(days=29, hours=23, minutes=59, seconds=59)
    assert not handle.done()
    env.advance(1)

    assert handle.done()
    assert handle.result() == "it is time"


def test_who_waits_lets_time_pass(env: Environment):
    env.worker(register=[remind])

    assert env.client().begin_rpc("id", remind, 7).result() == "it is time"
    assert env.now == datetime(2026, 1, 8, tzinfo=UTC)


def test_waiting_with_a_timeout_lets_no_more_time_pass(env: Environment):
    env.worker(register=[remind])

    with pytest.raises(HandleTimeout):
        env.client().begin_rpc("id", remind, 7).result(timeout=60)
    assert env.elapsed_s == 60


def test_a_function_called_elsewhere_runs_in_the_worker_of_its_group(env: Environment):
    def price(ctx, item):
        return {"tea": 3}[item]

    shop = env.worker("shop", register=[price])
    worker = env.worker(register=[remote])

    assert env.client().rpc("id", remote) == 3
    assert {e.pid for e in env.journal if e.what == "fulfill:id.1"} == {shop.pid}
    assert {e.pid for e in env.journal if e.what == "fulfill:id"} == {worker.pid}


def test_retries_take_virtual_time(env: Environment):
    attempts = []

    def flaky(ctx):
        attempts.append(env.elapsed_s)
        if len(attempts) < 4:
            raise ConnectionError("not yet")
        return "done"

    env.register(flaky)
    worker = env.worker(retry_policy=Constant(10))

    assert worker.client.begin_run("id", flaky).result() == "done"
    assert attempts == [0, 10, 20, 30]


def test_a_deadline_passes(env: Environment):
    env.worker(register=[waits])
    handle = env.client().options(timeout=60).begin_rpc("id", waits)

    with pytest.raises(TimedOutError):
        handle.result()
    assert env.elapsed_s == 60


def test_what_nothing_can_settle_is_not_waited_for(env: Environment):
    """Its group has no worker, and its promise no deadline within the life of this test."""
    forever = timedelta(days=36_500)
    handle = env.client().options(timeout=forever).begin_rpc("id", "nowhere")

    env.advance(days=10)
    with pytest.raises((UsageError, TimedOutError)):
        handle.result()


def test_a_promise_is_settled_from_outside(env: Environment):
    env.worker(register=[waits])
    handle = env.client().begin_rpc("id", waits)
    env.advance(days=3)

    env.promises.resolve("answer", {"approved": True})

    assert handle.result() == {"approved": True}
    assert env.elapsed_s == 3 * DAY_S


# Faults


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("at", ["create:id.1", "settle:id.1", "create:id.2", "fulfill:id"])
def test_another_worker_goes_on_where_one_has_died(env: Environment, at, side):
    first = env.worker(register=[twice])
    env.crash(first, at=at, side=side)
    handle = env.client("caller").options(target="default").begin_rpc("id", twice, 1)
    env.run_until_idle()
    assert first.is_dead

    second = env.worker()

    assert handle.result() == 3
    done_already = (at, side) == ("fulfill:id", "after")
    assert env.elapsed_s == (0 if done_already else 15)  # the lease of the first
    assert [e.pid for e in env.journal if e.what == "fulfill:id"][-1] == (
        first.pid if done_already else second.pid
    )


def test_a_process_dies_at_a_step_and_is_started_again(env: Environment):
    runs = []

    def noted(ctx, n):
        runs.append(n)
        return n

    def both(ctx):
        return [(yield ctx.run(noted, 1)), (yield ctx.run(noted, 2))]

    worker = env.worker(register=[both])
    env.crash(worker, step=4)  # create, settle, create, settle: the result of the second
    handle = env.client().begin_rpc("id", both)
    env.run_until_idle()

    env.restart(worker)

    assert handle.result() == [1, 2]
    assert runs == [1, 2, 2]


def test_a_process_that_dies_now_loses_what_it_was_doing(env: Environment):
    worker = env.worker(register=[remind])
    handle = env.client().begin_rpc("id", remind, 1)
    env.run_until_idle()

    env.crash(worker)
    env.advance(days=2)
    assert not handle.done()
    env.restart(worker)

    assert handle.result() == "it is time"


def test_a_process_that_is_cut_off_loses_its_task_and_writes_nothing(env: Environment):
    cut, other = env.worker(register=[twice]), None
    handle = env.client("caller").options(target="default").begin_rpc("id", twice, 1)
    env.partition(cut)
    env.run_until_idle()
    assert not handle.done()

    other = env.worker()
    assert handle.result() == 3
    env.heal(cut)
    env.advance(60)

    settled = [e for e in env.journal if e.what == "settle:id.1" and e.status == 200]
    assert {e.pid for e in settled} == {other.pid}
    assert env.promises.get("id").result() == 3


@pytest.mark.parametrize("seed", range(5))
def test_lost_repeated_and_late_messages_change_no_result(seed):
    with Environment(seed=seed) as env:
        env.drop(0.3)
        env.duplicate(0.3)
        env.delay((0, 5))
        env.worker(register=[remote, twice])
        env.worker("shop", register=[fake("price", returns=3)])
        client = env.client()
        handles = [client.begin_rpc(f"r{n}", remote) for n in range(5)]

        assert [handle.result() for handle in handles] == [3] * 5


def test_the_same_seed_gives_the_same_journal():
    def run(seed):
        with Environment(seed=seed) as env:
            env.drop(0.5)
            env.delay((0, 5))
            env.worker(register=[remote])
            env.worker("shop", register=[fake("price", returns=3)])
            assert env.client().begin_rpc("id", remote).result() == 3
            return [(e.at_ms, e.pid, e.what, e.status) for e in env.journal]

    assert run(1) == run(1)
    assert run(1) != run(2)


# Fakes


def test_a_fake_stands_in_for_a_local_function(env: Environment):
    stand_in = fake(add_one, returns=10)
    for func in (twice, stand_in):
        env.register(func)

    assert env.client().begin_run("id", twice, 1).result() == 10
    assert stand_in.calls == [(1,), (10,)]


def test_a_fake_raises_or_does_something(env: Environment):
    env.worker("shop", register=[fake("price", raises=LookupError("no tea"))])
    env.register(fake(add_one, call=lambda ctx, n: n * 100))
    env.worker(register=[remote, twice])

    assert env.client().rpc("b", twice, 2) == 20_000
    with pytest.raises(LookupError, match="no tea"):
        env.client().options(timeout=5).rpc("a", remote)


@pytest.mark.parametrize("keywords", [{}, {"returns": 1, "raises": ValueError}])
def test_a_fake_does_one_thing(keywords):
    with pytest.raises(UsageError, match="exactly one"):
        fake("f", **keywords)


# Mistakes


def test_a_function_that_waits_for_a_handle_is_told(env: Environment):
    def waits_for_handle(ctx):
        return client.begin_run("other", "add_one", 1).result()

    env.register(add_one)
    env.register(waits_for_handle)
    client = env.client()

    with pytest.raises(UsageError, match="through ctx"):
        client.options(timeout=5).begin_run("id", waits_for_handle).result()


# Replays


async def gathers(ctx):
    first, second = ctx.run(add_one, 1), ctx.run(add_one, 2)
    slept = ctx.sleep(60)
    await slept
    return [await first, await second]


def deep(ctx, n):
    return 0 if n == 0 else 1 + (yield ctx.run(deep, n - 1))


@pytest.mark.parametrize(
    ("func", "args", "expected"),
    [(twice, (1,), 3), (remind, (1,), "it is time"), (gathers, (), [2, 3]), (deep, (5,), 5)],
    ids=lambda found: getattr(found, "__name__", None),
)
@pytest.mark.parametrize("always_replay", [False, True])
def test_every_style_runs_with_and_without_replays(func, args, expected, always_replay):
    with Environment(always_replay=always_replay) as env:
        env.worker(register=[func])

        assert env.client().begin_rpc("id", func, *args).result() == expected


def test_a_function_begins_anew_after_everything_that_it_writes():
    bodies, steps = [], []

    def step(ctx, n):
        steps.append(n)
        return n

    def body(ctx):
        bodies.append(1)
        for n in range(3):
            yield ctx.run(step, n)

    with Environment(always_replay=True) as env:
        env.register(body)
        env.client().begin_run("id", body).result()

    assert steps == [0, 1, 2]
    assert len(bodies) == 1 + 2 * 3  # each step is created and settled


def test_nondeterminism_is_found_without_a_crash(caplog):
    calls = []

    def one(ctx):
        return 1

    def other(ctx):
        return 2

    def body(ctx):
        calls.append(1)
        return (yield ctx.run(one if len(calls) % 2 else other))

    with Environment(always_replay=True) as env:
        env.register(body)
        env.client().begin_run("id", body)
        env.run_until_idle()

    assert "call:one" in caplog.text
    assert "call:other" in caplog.text


@pytest.mark.parametrize("dies", [False, True])
def test_a_call_that_is_meant_for_its_process_runs_there_while_that_lives(env, dies):
    def where(ctx):
        return ctx.get_dependency("name")

    def caller(ctx):
        yield ctx.sleep(60)
        begun = []
        for _ in range(5):
            begun.append((yield ctx.begin_rpc(where).options(execute_here=True)))
        here = ctx.get_dependency("name")
        return here, (yield ctx.all(begun))

    workers = {
        name: env.worker(register=[where, caller], dependencies={"name": name}) for name in "abc"
    }
    handle = env.client("x").options(target="default").begin_rpc("id", caller)
    env.advance(30)
    if dies:
        (pid,) = {entry.pid for entry in env.journal if entry.what == "suspend:id"}
        (holder,) = [worker for worker in workers.values() if worker.pid == pid]
        env.crash(holder, at="create:id.4")
    here, found = handle.result()

    if not dies:
        assert found == [here] * 5
    assert set(found) <= set(workers)
