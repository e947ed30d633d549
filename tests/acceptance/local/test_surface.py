"""What clients offer beside calls: cancel, coroutines' forms, versions, and ids that mean one call."""

import asyncio
import logging
import math
import threading
from functools import partial

import pytest

import resonate_sdk
from resonate_sdk import (
    CanceledError,
    Constant,
    Never,
    NotFoundError,
    Registry,
    Resonate,
    ShutdownError,
    UsageError,
    poll,
)
from resonate_sdk.stores.local import LocalStore
from resonate_sdk.testing import Environment

WAIT_S = 30


def leaf(ctx, value=None):
    return value


def waiting(ctx):
    return (yield (yield ctx.promise()))


def parent(ctx):
    yield ctx.begin_rpc("waiting")
    yield ctx.begin_rpc("waiting").options(id="of its own")
    return (yield ctx.run(waiting))


def pending(resonate, *ids):
    for id in ids:
        while not any(record.id == id for record in resonate.promises.search()):
            threading.Event().wait(0.01)


# Canceling


@pytest.mark.parametrize("way", ["client", "handle", "promises", "aio"])
def test_canceling_an_execution_cancels_all_that_was_called_for_it(resonate, way):
    resonate.register(waiting)
    handle = resonate.register(parent).begin_run("x")
    tree = ("x.1", "x.1.1", "of its own", "of its own.1", "x.3", "x.3.1")
    pending(resonate, *tree)

    match way:
        case "client":
            resonate.cancel("x")
        case "handle":
            handle.cancel()
        case "promises":
            resonate.promises.cancel("x", tree=True)
        case _:
            asyncio.run(resonate.aio.cancel("x"))

    with pytest.raises(CanceledError):
        handle.result(WAIT_S)
    assert [resonate.promises.get(id).state for id in tree] == ["rejected_canceled"] * 6


def test_canceling_without_the_tree_leaves_it(resonate):
    resonate.register(waiting)
    handle = resonate.register(parent).begin_run("x")
    pending(resonate, "x.1")

    handle.cancel(tree=False)

    assert resonate.promises.get("x.1").pending


def test_a_function_that_runs_sees_that_it_is_canceled(make_client):
    resonate = make_client(ttl=1)
    begun, seen = threading.Event(), threading.Event()

    def long(ctx):
        begun.set()
        while not ctx.canceled:
            threading.Event().wait(0.01)
        seen.set()

    handle = resonate.register(long).begin_run("x")
    assert begun.wait(WAIT_S)
    handle.cancel()

    assert seen.wait(WAIT_S)


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_who_cancels_what_runs_in_its_own_process_waits_for_no_heartbeat(make_client, kind):
    runs, ended = threading.Event(), threading.Event()

    def plain(ctx):
        runs.set()
        while not ctx.canceled:
            threading.Event().wait(0.01)
        ended.set()

    async def coroutine(ctx):
        runs.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    resonate = make_client(ttl=3_600)
    handle = resonate.register({"plain": plain, "coroutine": coroutine}[kind]).begin_run("x")
    assert runs.wait(WAIT_S)
    handle.cancel()

    with pytest.raises(CanceledError):
        handle.result(WAIT_S)
    assert ended.wait(WAIT_S)


def test_canceling_what_is_not_there_is_told(resonate):
    with pytest.raises(NotFoundError):
        resonate.cancel("nothing")


# For coroutines


def test_everything_can_be_awaited(server):
    async def main():
        async with Resonate.local(server=server) as resonate:
            function = resonate.register(leaf)
            aio = resonate.aio
            assert await aio.run("1", function, 1) == 1
            assert await aio.rpc("2", "leaf", 2) == 2
            assert await (await aio.get("1")) == 1
            await aio.promises.create("answer")
            assert (await aio.promises.get("answer")).pending
            assert (await aio.promises.resolve("answer", 5)).value == 5
            return [record.id for record in await aio.promises.search()]

    assert asyncio.run(main()) == ["1", "2", "answer"]


# Versions


def test_an_execution_keeps_its_version_and_versions_are_counted(resonate):
    def one(ctx):
        return [1, (yield (yield ctx.promise(id="answer")))]

    def two(ctx):
        return 2
        yield

    resonate.register(one, name="f", version=1)
    old = resonate.begin_run("old", "f")
    pending(resonate, "answer")
    resonate.register(two, name="f", version=2)

    assert resonate.run("new", "f") == 2
    assert resonate.options(version=2).rpc("newer", "f") == 2
    assert resonate.pending_versions("f") == {1: 1, 2: 0}
    resonate.promises.resolve("answer", "kept")
    assert old.result(WAIT_S) == [1, "kept"]
    assert resonate.pending_versions("f") == {1: 0, 2: 0}


def test_a_deployment_of_new_code_leaves_what_has_begun_on_the_old():
    def old(ctx):
        yield ctx.sleep(60)
        return "old"

    def new(ctx):
        yield ctx.sleep(60)
        return "new"

    with Environment() as env:
        before = env.worker(registry=Registry())
        before.client.register(old, name="report", version=1)
        client = env.client("x", registry=Registry()).options(target="default")
        begun = client.options(version=1).begin_rpc("a", "report")
        env.run_until_idle()

        after = env.worker(registry=Registry())
        after.client.register(old, name="report", version=1)
        after.client.register(new, name="report", version=2)
        env.crash(before)
        later = client.options(version=2).begin_rpc("b", "report")

        assert (begun.result(), later.result()) == ("old", "new")
        assert after.client.pending_versions("report") == {1: 0, 2: 0}


def test_a_function_finds_its_executions(resonate):
    function = resonate.register(leaf)
    function.run("x", 3)

    assert function.get("x").result(WAIT_S) == 3
    with pytest.raises(NotFoundError):
        function.get("y")


# Ids


@pytest.mark.parametrize("way", ["begin_run", "begin_rpc"])
def test_an_id_that_belongs_to_another_function_is_a_usage_error(resonate, way):
    def other(ctx):
        return 0

    function = resonate.register(leaf)
    resonate.register(other)
    assert function.run("x", 1) == 1

    with pytest.raises(UsageError) as caught:
        getattr(resonate, way)("x", "other").result(WAIT_S)
    assert str(caught.value) == (
        "the id 'x' belongs to a call of leaf, not of other: give each call an id of its own"
    )


def test_who_waits_for_an_execution_is_not_disturbed_by_one_who_means_another(resonate):
    resonate.register(leaf)
    function = resonate.register(waiting)
    handle = function.begin_run("x")
    pending(resonate, "x.1")

    with pytest.raises(UsageError, match="belongs to a call of waiting, not of leaf"):
        resonate.begin_run("x", "leaf").result(WAIT_S)
    resonate.promises.resolve("x.1", "fine")
    assert handle.result(WAIT_S) == "fine"


def test_an_id_that_is_used_with_other_arguments_gives_its_result_and_a_warning(resonate, caplog):
    function = resonate.register(leaf)
    assert function.run("x", 1) == 1

    with caplog.at_level(logging.WARNING):
        assert function.run("x", 2) == 1
    assert "exists with other arguments" in caplog.text


# Steps


@pytest.mark.parametrize("is_beside_another", [False, True])
def test_a_step_that_takes_long_is_seen_while_it_runs(resonate, is_beside_another):
    """A short one is created and settled in one trip."""
    go_on = threading.Event()

    def slow(ctx):
        assert go_on.wait(WAIT_S)

    def main(ctx):
        if is_beside_another:
            yield ctx.begin_run(slow)
        yield ctx.run(slow)

    handle = resonate.register(main).begin_run("x")
    pending(resonate, "x.2" if is_beside_another else "x.1")
    assert resonate.promises.get("x.1").pending
    go_on.set()
    handle.result(WAIT_S)
    assert resonate.promises.get("x.1").resolved


# Names of the first SDKs


def test_dependencies_of_a_client_count_from_when_they_are_given(resonate: Resonate):
    class Database:
        def __init__(self, name: str) -> None:
            self.name = name

    @resonate.register
    def has(ctx, key):
        return ctx.get_dependency(key) if key == "db" else ctx.get_dependency(Database).name

    @resonate.register
    def asks(ctx, key):
        return (yield ctx.run(has, key))

    assert asks.run("before", "db") is None
    resonate.set_dependency("db", 1)
    resonate.set_dependency("db", 2)
    for name in ("first", "second"):
        assert resonate.with_dependency(Database(name)) is resonate

    assert asks.run("by key", "db") == 2
    assert asks.run("by type", "type") == "second"


def test_registered_functions_are_called_as_they_are_or_as_they_were(resonate: Resonate):
    def add(ctx, n):
        return n + 1

    registered = resonate.register(add)

    @resonate.register
    def twice(ctx, n):
        promise = yield ctx.begin_run(registered, n)
        return (yield ctx.run(add, (yield promise)))

    @resonate.register
    def four_times(ctx, n):
        return (yield ctx.lfc(twice, (yield ctx.rfc(twice, n))))

    assert four_times.run("id", 1) == 5


def test_a_local_store_is_a_server_inside_the_process():
    store = LocalStore()
    with Resonate(store=store, group="a") as first, Resonate(store=store, group="b") as second:
        second.register(leaf)

        assert first.options(send_to=poll("b")).rpc("x", "leaf", 3) == 3
    store.close()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Resonate.remote(host="http://localhost", store_port=8001), "speaks AMQP, not"),
        (lambda: Resonate.remote("amqp://a/", host="b"), "url and host mean the same"),
        (
            lambda: Resonate.remote(host="b", store_port=8001, message_source_port=8002),
            "store_port and message_source_port mean the same",
        ),
        (lambda: Resonate(host="localhost"), r"write url='amqp://localhost:5672/'"),  # pyright: ignore[reportArgumentType]
        (lambda: Resonate(store=LocalStore(), server=LocalStore()), "server and store mean the"),
        (lambda: Resonate.local(token="t"), "auth= and token= are for a broker"),
    ],
)
def test_what_cannot_be_connected_to_is_refused_with_what_to_write(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"workers": 0}, "workers= is a whole number, 1 or more, found 0"),
        ({"workers": "2"}, "workers= is a whole number, 1 or more, found '2'"),
        ({"max_concurrent_tasks": 0}, "max_concurrent_tasks= is a whole number, 1 or more"),
        ({"poison_attempts": 0}, "poison_attempts= is a whole number, 1 or more"),
        ({"cache_size": -1}, "cache_size= is a whole number, 0 or more"),
        ({"ttl": math.inf}, "a lease .ttl. lasts 1.0 s or more, at most 86400.0, found inf"),
        ({"on_nondeterminism": "stop"}, "is one of .'halt', 'reject', 'warn'., found 'stop'"),
    ],
    ids=repr,
)
def test_a_client_that_could_do_nothing_is_refused(given, sentence):
    with pytest.raises(UsageError, match=sentence):
        Resonate.local(**given)


def test_the_first_sdks_names_of_errors_mean_the_same():
    assert resonate_sdk.ResonateStoreError is resonate_sdk.StoreError
    assert resonate_sdk.ResonateTimedoutError is resonate_sdk.TimedOutError
    assert resonate_sdk.ResonateCanceledError is CanceledError
    assert resonate_sdk.ResonateShutdownError is resonate_sdk.ShutdownError


def test_options_behind_the_name_of_a_function_count_for_calls_of_the_client(resonate):
    function = resonate.register(leaf).options(tags={"team": "a"})

    resonate.run("x", function, 1)
    resonate.rpc("y", function, 1)

    assert [record.id for record in resonate.promises.search(tags={"team": "a"})] == ["x", "y"]


# What a program may do with what it was given


def test_what_is_done_to_tags_that_were_shown_does_not_change_the_promise(resonate):
    def vandal(ctx):
        ctx.info.tags["team"] = "c"

    def caller(ctx):
        yield ctx.run(vandal).options(tags={"team": "b"}, id="run")
        yield ctx.run(vandal).options(tags={"team": "b"}, id="run as well")

    resonate.register(caller)
    resonate.run("caller", caller)
    resonate.promises.get("run").tags["team"] = "d"

    tags = [resonate.promises.get(id).tags["team"] for id in ("run", "run as well")]
    assert tags == ["b", "b"]


def test_what_is_done_to_a_result_that_was_awaited_does_not_change_it(resonate):
    def shared(ctx, numbers):
        numbers.append(2)
        return numbers

    def caller(ctx):
        promise = yield ctx.begin_run(shared, [1])
        (yield promise).append(3)
        return (yield promise)

    resonate.register(caller)

    assert resonate.run("caller", caller) == [1, 2]


@pytest.mark.parametrize("name", ["\ud800", "a \udfff b"])
def test_an_id_of_which_half_a_character_is_missing_is_refused_at_the_line(resonate, name):
    def step(ctx):
        return 1

    def caller(ctx):
        try:
            yield ctx.run(step).options(id=name)
        except ValueError as error:
            return str(error)

    resonate.register(caller)

    assert "holds half of a character" in resonate.run("caller", caller)


def test_an_exception_comes_back_as_the_program_has_said(resonate: Resonate):
    class Held(Exception):  # noqa: N818  # no module has it
        def __init__(self, holder):
            self.holder = holder

    @resonate.register(retry_policy=Never())
    def fails(ctx):
        raise Held({"pid": 7})

    resonate.register_exception(
        Held, encode=lambda error: error.holder, decode=lambda data: Held({"pid": data["pid"]})
    )

    with pytest.raises(Held) as caught:
        fails.begin_run("x").result(WAIT_S)
    assert caught.value.holder == {"pid": 7}


def test_a_client_is_stopped_by_a_coroutine_as_often_as_one_likes(make_client):
    resonate = make_client()
    assert resonate.register(leaf).run("x", 1) == 1

    async def main():
        await resonate.aio.stop()
        await resonate.aio.stop()
        with pytest.raises(ShutdownError):
            await resonate.aio.get("x")

    asyncio.run(main())


# Retries


@pytest.mark.parametrize("way", ["run", "rpc", "named", "ctx.rpc", "ctx", "detached"])
@pytest.mark.parametrize(
    ("option", "attempts"),
    [
        ({"retry_policy": Constant(0, max_retries=1)}, 2),
        ({"non_retryable_exceptions": (LookupError,)}, 1),
    ],
)
def test_who_calls_a_function_says_how_often_it_is_tried(make_client, way, option, attempts):
    seen = []

    def fails(ctx):
        seen.append(ctx.info.attempt)
        raise KeyError("always")

    def caller(ctx):
        match way:
            case "ctx.rpc":
                return (yield ctx.rpc(function).options(**option))
            case "ctx":
                return (yield ctx.options(**option).rpc("fails"))
            case _:
                return (yield (yield ctx.detached(function).options(**option)))

    resonate = make_client()
    function = resonate.register(fails, retry_policy=Constant(0, max_retries=5))
    resonate.register(caller)
    calls = {
        "run": partial(function.options(**option).run, "x"),
        "rpc": partial(resonate.options(**option).rpc, "x", function),
        "named": partial(resonate.options(**option).rpc, "x", "fails"),
    }
    with pytest.raises(KeyError):
        calls.get(way, partial(resonate.run, "x", caller))()

    assert seen == [*range(1, attempts + 1)]
