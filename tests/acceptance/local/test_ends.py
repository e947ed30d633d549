"""How a client ends: tasks are given back, whoever waits is told, nothing is left behind."""

import asyncio
import threading

import pytest

from resonate_sdk import Constant, HandleTimeout, LocalServer, Resonate, ShutdownError
from tests.acceptance.local.conftest import MakeClient
from tests.acceptance.local.processes import script

WAIT_S = 20.0


def test_stopping_twice_and_without_a_start_is_harmless(make_client: MakeClient):
    client = make_client()
    client.stop()
    client.stop()


def test_a_block_stops_its_client(server):
    with Resonate.local(server=server) as client:
        client.promises.create("p")

    with pytest.raises(ShutdownError):
        client.promises.get("p")


def test_after_the_stop_every_call_says_so(make_client: MakeClient):
    client = make_client()

    @client.register
    def foo(ctx):
        return 1

    foo.run("before")
    client.stop(5)

    for call in (
        lambda: foo.begin_run("id"),
        lambda: foo.begin_rpc("id"),
        lambda: client.get("before"),
        lambda: client.promises.create("p"),
        client.start,
    ):
        with pytest.raises(ShutdownError, match="this client was stopped: make a new one"):
            call()


def test_a_handle_that_waits_is_told_and_the_execution_goes_on_elsewhere(make_client: MakeClient):
    first, second = make_client(), make_client()

    def foo(ctx):
        return (yield (yield ctx.promise(id="answer")))

    handle = first.register(foo).begin_run("id")
    with pytest.raises(HandleTimeout):
        handle.result(0.1)
    first.stop(5)

    with pytest.raises(ShutdownError, match="the execution goes on"):
        handle.result(WAIT_S)
    second.register(foo)
    second.promises.resolve("answer", 7)
    assert second.get("id").result(WAIT_S) == 7


def test_a_start_that_comes_while_the_client_stops_takes_no_more_calls(
    make_client: MakeClient, monkeypatch
):
    client = make_client(autostart=False)
    client.promises.create("p")  # so that its loop runs
    runtime = client._runtime
    stop, is_subscribed = runtime._worker.stop, list[bool]()

    async def stop_late(timeout_s: float) -> None:
        later = asyncio.Event()
        runtime._subscribe_later(0.0)
        runtime.loop.call_later(0.0, later.set)
        await later.wait()
        is_subscribed.append(runtime._is_subscribed)
        await stop(timeout_s)

    monkeypatch.setattr(runtime._worker, "stop", stop_late)
    client.stop()

    assert is_subscribed == [False]


def test_a_thread_that_waits_is_woken_by_the_stop(make_client: MakeClient):
    client = make_client()

    @client.register
    def foo(ctx):
        yield (yield ctx.promise(id="answer"))

    handle = foo.begin_run("id")
    handle.created(WAIT_S)
    told = []

    def wait():
        try:
            handle.result(WAIT_S)
        except ShutdownError as error:
            told.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    client.stop(5)
    thread.join(WAIT_S)

    assert len(told) == 1


def test_a_stop_lets_the_running_step_end_and_gives_the_task_back_at_once(make_client: MakeClient):
    """The next client goes on far before the lease of 15 s is over, and repeats no step."""
    runs = []
    in_first, may_end = threading.Event(), threading.Event()

    def first_step(ctx):
        runs.append("first")
        in_first.set()
        assert may_end.wait(WAIT_S)
        return 1

    def second_step(ctx):
        runs.append("second")
        return 2

    def foo(ctx):
        return [(yield ctx.run(first_step)), (yield ctx.run(second_step))]

    leaving, staying = make_client(), make_client()
    leaving.register(foo).begin_run("id").created(WAIT_S)
    assert in_first.wait(WAIT_S)
    stopping = threading.Thread(target=leaving.stop, args=(WAIT_S,))
    stopping.start()
    staying.register(foo)
    may_end.set()
    stopping.join(WAIT_S)

    assert staying.get("id").result(10) == [1, 2]
    assert runs == ["first", "second"]


def test_a_stop_between_two_steps_loses_none_and_repeats_none(make_client: MakeClient):
    runs, enough = [], threading.Event()

    def step(ctx, n):
        runs.append(n)
        if n == 20:
            enough.set()

    def foo(ctx, count):
        for n in range(count):
            yield ctx.run(step, n)
        return "done"

    leaving, staying = make_client(), make_client()
    leaving.register(foo).begin_run("id", 300).created(WAIT_S)
    assert enough.wait(WAIT_S)
    leaving.stop(WAIT_S)
    staying.register(foo)

    assert staying.get("id").result(10) == "done"
    assert runs == list(range(300))


def test_all_that_waits_for_a_worker_is_taken_over(make_client: MakeClient):
    leaving, staying = make_client(max_concurrent_tasks=1), make_client()
    may_end = threading.Event()

    def foo(ctx, n):
        assert may_end.wait(WAIT_S)
        return n

    function = leaving.register(foo)
    leaving.start()
    handles = [function.begin_rpc(f"id-{n}", n) for n in range(10)]
    for handle in handles:
        handle.created(WAIT_S)
    stopping = threading.Thread(target=leaving.stop, args=(WAIT_S,))
    stopping.start()
    staying.register(foo)
    may_end.set()
    stopping.join(WAIT_S)

    results = [staying.get(f"id-{n}").result(10) for n in range(10)]
    assert results == list(range(10))


def test_a_retry_that_is_waited_for_does_not_delay_the_stop(make_client: MakeClient):
    leaving, staying = make_client(), make_client()
    failed = threading.Event()

    def foo(ctx):
        if not failed.is_set():
            failed.set()
            raise ValueError("first attempt")
        return "done"

    policy = Constant(delay=3_600)
    leaving.register(foo, retry_policy=policy).options(timeout=10**6).begin_run("id")
    assert failed.wait(WAIT_S)
    leaving.stop(WAIT_S)
    staying.register(foo)

    assert staying.get("id").result(10) == "done"


def test_calls_and_stops_from_many_threads_do_not_hang(server):
    for _ in range(5):
        client = Resonate.local(server=server)

        @client.register
        def foo(ctx, n):
            return n

        outcomes, begin = [], threading.Barrier(6)

        def call(number, client=client, foo=foo, outcomes=outcomes, begin=begin):
            begin.wait(WAIT_S)
            try:
                outcomes.append(foo.begin_run(f"{id(client)}-{number}", number).result(WAIT_S))
            except ShutdownError as error:
                outcomes.append(error)

        threads = [threading.Thread(target=call, args=(n,)) for n in range(5)]
        for thread in threads:
            thread.start()
        begin.wait(WAIT_S)
        client.stop(5)
        for thread in threads:
            thread.join(WAIT_S)

        assert len(outcomes) == 5


def test_a_server_of_its_own_ends_with_its_client():
    before = set(threading.enumerate())
    client = Resonate.local()
    client.promises.create("p")
    assert {thread.name for thread in set(threading.enumerate()) - before} >= {
        "resonate-io",
        "resonate-embedded",
    }
    client.stop(5)

    assert set(threading.enumerate()) <= before


def test_a_shared_server_goes_on_without_one_of_its_clients(make_client: MakeClient):
    first, second = make_client(), make_client()
    first.promises.create("p")
    first.stop(5)

    assert second.promises.get("p").pending


def test_a_server_may_be_closed_twice():
    server = LocalServer()
    server.close()
    server.close()


# In processes of their own: what could hang or spin does not disturb the other tests


@pytest.mark.parametrize("what", ["waiting", "sleeping", "working"])
def test_a_stop_while_an_execution_is_under_way_is_quick_and_leaves_no_thread_behind(what):
    with script("ending", "stop", what) as ending:
        took_s = float(ending.wait_for("stopped"))
        assert "the execution goes on" in ending.wait_for("told")
        assert ending.wait_for("threads") == "[]"
        assert ending.wait_for_end() == 0

    assert took_s < 3


def test_a_stop_does_not_wait_longer_than_it_may_for_a_function_that_runs():
    with script("ending", "stop", "blocked") as ending:
        took_s = float(ending.wait_for("stopped"))

    assert 0.5 <= took_s < 3


@pytest.mark.parametrize("what", ["waiting", "blocked"])
def test_a_script_that_does_not_stop_its_client_ends_all_the_same(what):
    with script("ending", "leave", what) as ending:
        ending.wait_for("end of script")
        assert ending.wait_for_end(5) == 0
