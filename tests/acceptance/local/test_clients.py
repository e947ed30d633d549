"""The client end to end: ids, handles, views, several clients, and functions beside each other."""

import asyncio
import gc
import logging
import threading
from dataclasses import dataclass
from functools import wraps

import pytest

from resonate_sdk import (
    ApplicationError,
    CanceledError,
    Constant,
    FunctionNotFoundError,
    HandleTimeout,
    Never,
    NotFoundError,
    Promise,
    RegistrationError,
    Resonate,
    ResonateError,
    ShutdownError,
    TimedOutError,
    UsageError,
    Workflow,
)
from tests.acceptance.local.conftest import MakeClient

WAIT_S = 20.0


@dataclass
class Order:
    number: int
    items: list[str]


# One id, one execution


def test_one_id_is_run_once(resonate: Resonate):
    runs = []

    @resonate.register
    def foo(ctx, n):
        runs.append(n)
        return n

    assert [foo.run("id", n) for n in (1, 2, 3)] == [1, 1, 1]
    assert foo.rpc("id", 4) == 1
    assert resonate.get("id").result(WAIT_S) == 1
    assert runs == [1]


def test_two_concurrent_runs_of_one_id_share_one_execution(resonate: Resonate):
    runs, may_end = [], threading.Event()

    @resonate.register
    def foo(ctx):
        runs.append(1)
        assert may_end.wait(WAIT_S)
        return len(runs)

    handles = [foo.begin_run("id") for _ in range(5)]
    for handle in handles:
        handle.created(WAIT_S)
    may_end.set()

    assert [handle.result(WAIT_S) for handle in handles] == [1] * 5


def test_runs_of_one_id_in_two_clients_share_one_execution(make_client: MakeClient):
    runs, may_end = [], threading.Event()

    def foo(ctx):
        runs.append(1)
        assert may_end.wait(WAIT_S)
        return "done"

    clients = [make_client(), make_client()]
    handles = [client.register(foo).begin_run("id") for client in clients]
    for handle in handles:
        handle.created(WAIT_S)
    may_end.set()

    assert [handle.result(WAIT_S) for handle in handles] == ["done", "done"]
    assert runs == [1]


def test_a_failed_execution_fails_again_without_being_run(resonate: Resonate):
    runs = []

    @resonate.register(retry_policy=Never())
    def foo(ctx):
        runs.append(1)
        raise LookupError("gone")

    for _ in range(2):
        with pytest.raises(LookupError, match="gone"):
            foo.begin_run("id").result(WAIT_S)
    assert runs == [1]


def test_a_run_of_what_waits_for_a_worker_takes_it_over(make_client: MakeClient):
    """Its process may have ended before it began: nobody works on it, so it is run here."""
    client = make_client(group="nobody-serves", autostart=False)

    @client.register
    def foo(ctx):
        return "done"

    other = make_client()
    other.options(target="nobody-serves").begin_rpc("id", "foo").created(WAIT_S)

    assert client.begin_run("id", foo).result(WAIT_S) == "done"


def test_a_run_takes_over_also_what_a_handle_of_this_process_waits_for(make_client: MakeClient):
    client = make_client(group="nobody-serves", autostart=False)

    @client.register
    def foo(ctx):
        return "done"

    client.begin_rpc("id", foo).created(WAIT_S)
    waiting = client.get("id")

    assert client.begin_run("id", foo).result(2) == "done"
    assert waiting.result(WAIT_S) == "done"


# Ways to call


def test_every_way_to_start_a_function_makes_the_same_promise(
    resonate: Resonate, make_client: MakeClient
):
    @resonate.register(name="bar", version=3)
    def foo(ctx, n, *, key):
        return [n, key, ctx.info.version, ctx.info.tags["team"]]

    view = resonate.options(tags={"team": "a"}, timeout=60, version=3)
    ways = [
        view.begin_run("1", foo, 7, key="k"),
        view.begin_run("2", foo.func, 7, key="k"),
        view.begin_run("3", "bar", 7, key="k"),
        foo.options(tags={"team": "a"}, timeout=60).begin_run("4", 7, key="k"),
        view.begin_rpc("5", foo, 7, key="k"),
        view.begin_rpc("6", "bar", 7, key="k"),
        view.begin_rpc("7", func="bar", n=7, key="k"),
        foo.options(tags={"team": "a"}, timeout=60).begin_rpc("8", 7, key="k"),
    ]

    assert [way.result(WAIT_S) for way in ways] == [[7, "k", 3, "a"]] * 8
    records = [resonate.promises.get(str(n)) for n in range(1, 9)]
    for record in records:
        tags = {key: text for key, text in record.tags.items() if text != record.id}
        assert tags == {
            "resonate:target": "amqp://any@default",
            "resonate:scope": "global",
            "resonate:fn": "bar@3",
            "team": "a",
        }
        assert 0 < record.timeout_at - record.created_at <= 60_000
        assert record.param["func"] == "bar"
        assert record.param["version"] == 3


def test_arguments_and_results_come_in_their_annotated_types(resonate: Resonate):
    @resonate.register
    def foo(ctx, order: Order, *more: Order) -> Order:
        assert type(order) is Order
        assert [type(other) for other in more] == [Order]
        return Order(order.number + 1, order.items)

    for handle in (
        foo.begin_run("run", Order(1, ["tea"]), Order(2, [])),
        foo.begin_rpc("rpc", Order(1, ["tea"]), Order(2, [])),
        resonate.get("run", type=Order),
    ):
        assert handle.result(WAIT_S) == Order(2, ["tea"])
    assert resonate.get("run").result(WAIT_S) == {"number": 2, "items": ["tea"]}


def test_an_argument_that_does_not_fit_is_told_to_the_caller(resonate: Resonate):
    @resonate.register
    def foo(ctx, order: Order):
        return order.number

    with pytest.raises(ResonateError, match=r"argument 'order' of foo: .*number"):
        resonate.begin_rpc("id", "foo", {"number": "7", "items": []}).result(WAIT_S)


def test_mistakes_are_told_at_once(resonate: Resonate):
    @resonate.register
    def foo(ctx, n):
        return n

    def unregistered(ctx):
        return None

    for call in (resonate.begin_run, resonate.begin_rpc, resonate.run, resonate.rpc):
        with pytest.raises(FunctionNotFoundError, match="unregistered is not registered here"):
            call("id", unregistered)
    with pytest.raises(FunctionNotFoundError, match=r"nothing is not registered here.*foo"):
        resonate.begin_run("id", "nothing")
    with pytest.raises(FunctionNotFoundError, match="foo version 2 is not registered here"):
        resonate.options(version=2).begin_run("id", "foo")
    with pytest.raises(UsageError, match="missing a required argument: 'n'"):
        foo.begin_run("id")  # pyright: ignore[reportCallIssue]  # that is the point
    with pytest.raises(UsageError, match="unexpected keyword argument 'm'"):
        foo.begin_rpc("id", 1, m=2)  # pyright: ignore[reportCallIssue]  # that is the point
    with pytest.raises(RegistrationError, match="foo version 1 is registered already"):
        resonate.register(foo.func)
    with pytest.raises(TypeError, match="id of an execution is a string, found 7"):
        foo.begin_run(7, 1)  # pyright: ignore[reportArgumentType]  # that is the point
    with pytest.raises(TypeError, match="cannot be stored as JSON"):
        foo.begin_run("id", object())
    with pytest.raises(NotFoundError):
        resonate.promises.get("id")


def test_a_creation_that_the_server_refuses_is_told_by_the_handle(resonate: Resonate):
    @resonate.register
    def foo(ctx):
        return None

    resonate.promises.create("p")
    handle = foo.begin_run("p")

    with pytest.raises(ResonateError, match="'p' exists without resonate:target"):
        handle.created(WAIT_S)
    with pytest.raises(ResonateError, match="'p' exists without resonate:target"):
        handle.result(WAIT_S)


@pytest.mark.parametrize(
    "id", ["x" * 2_000, "ü" * 600, "", "nul \x00"], ids=["long", "wide", "empty", "NUL"]
)
def test_an_id_that_cannot_be_stored_is_said_to_be_the_trouble(resonate: Resonate, id):
    @resonate.register
    def foo(ctx):
        return None

    for begin in (foo.begin_run, foo.begin_rpc):
        with pytest.raises((ResonateError, ValueError)) as caught:
            begin(id).result(WAIT_S)
        assert "id" in str(caught.value).split()
        assert "resonate:" not in str(caught.value)


def test_a_view_does_not_change_its_client(resonate: Resonate):
    @resonate.register
    def foo(ctx):
        return ctx.info.tags.get("team")

    view = resonate.options(tags={"team": "a"})
    both = view.options(timeout=5)

    results = [
        client.begin_run(str(n), foo).result(WAIT_S)
        for n, client in enumerate((resonate, view, both))
    ]
    assert results == [None, "a", "a"]


def test_a_prefix_is_put_before_ids_once(make_client: MakeClient):
    client = make_client(prefix="test")

    @client.register
    def foo(ctx):
        return ctx.id

    assert foo.run("id") == "test:id"
    assert foo.begin_rpc("test:id").result(WAIT_S) == "test:id"
    assert client.get("id").id == "test:id"


def test_the_prefix_of_the_environment_counts_in_local_mode_too(monkeypatch, server):
    monkeypatch.setenv("RESONATE_PREFIX", "test")
    client = Resonate.local(server=server)

    @client.register
    def foo(ctx):
        return ctx.id

    assert foo.run("id") == "test:id"
    client.stop(5)


def test_a_url_of_the_environment_does_not_matter_in_local_mode(monkeypatch):
    monkeypatch.setenv("RESONATE_URL", "amqp://nowhere.invalid/")
    with Resonate.local() as client:
        assert client.promises.create("p").pending


def test_without_a_url_the_client_says_that_it_forgets(monkeypatch, caplog):
    monkeypatch.delenv("RESONATE_URL", raising=False)
    with caplog.at_level(logging.WARNING), Resonate() as client:
        assert client.promises.create("p").pending

    (warning,) = caplog.records
    assert "forgets everything when it ends" in warning.getMessage()


# Handles


def test_a_wait_that_is_over_can_be_repeated(resonate: Resonate):
    @resonate.register
    def foo(ctx):
        return (yield (yield ctx.promise(id="answer")))

    handle = foo.begin_run("id")
    with pytest.raises(
        HandleTimeout, match=r"it goes on, and `resonate why id` or .* what it wait"
    ):
        handle.result(0.1)
    assert not handle.done()
    resonate.promises.resolve("answer", 7)

    assert handle.result(WAIT_S) == 7
    assert handle.done()


def test_a_handle_can_be_awaited_in_a_coroutine(resonate: Resonate):
    @resonate.register
    def foo(ctx, n):
        return n

    async def main():
        async with asyncio.timeout(WAIT_S):
            return [await foo.begin_run("run", 1), await foo.begin_rpc("rpc", 2)]

    assert asyncio.run(main()) == [1, 2]


def test_an_await_that_is_given_up_can_be_repeated(resonate: Resonate):
    @resonate.register
    def foo(ctx):
        return (yield (yield ctx.promise(id="answer")))

    handle = foo.begin_run("id")

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await handle
        await asyncio.to_thread(resonate.promises.resolve, "answer", 7)
        async with asyncio.timeout(WAIT_S):
            return await handle

    assert asyncio.run(main()) == 7


def test_who_has_given_up_to_await_is_not_told_of_the_error_that_comes_later(server, caplog):
    async def main():
        async with Resonate.local(server=server) as resonate:
            handle = resonate.options(target="nobody").begin_rpc("id", "foo")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await handle
        assert isinstance(handle.future.exception(), ShutdownError)
        del handle
        gc.collect()

    asyncio.run(main())

    assert "never retrieved" not in caplog.text


def test_a_blocking_call_on_a_running_loop_is_refused_before_anything_begins(resonate: Resonate):
    @resonate.register
    def foo(ctx):
        return 1

    async def main():
        for call in (foo.run, foo.rpc):
            with pytest.raises(UsageError, match="would block the running event loop"):
                call("id")

    asyncio.run(main())
    with pytest.raises(NotFoundError):
        resonate.promises.get("id")


def test_get_waits_for_what_exists_only(resonate: Resonate):
    with pytest.raises(NotFoundError, match="p"):
        resonate.get("p")
    resonate.promises.create("p", expires_in=60)
    handles = [resonate.get("p") for _ in range(3)]
    resonate.promises.resolve("p", 7)

    assert [handle.result(WAIT_S) for handle in handles] == [7, 7, 7]


def test_a_handle_hears_of_all_ends(resonate: Resonate):
    resonate.promises.create("canceled", expires_in=60)
    resonate.promises.create("late", expires_in=0.1)
    resonate.promises.create("rejected", expires_in=60)
    handles = {id: resonate.get(id) for id in ("canceled", "late", "rejected")}
    resonate.promises.cancel("canceled")
    resonate.promises.reject("rejected", {"reason": 1})

    with pytest.raises(CanceledError):
        handles["canceled"].result(WAIT_S)
    with pytest.raises(TimedOutError):
        handles["late"].result(WAIT_S)
    with pytest.raises(ApplicationError) as caught:
        handles["rejected"].result(WAIT_S)
    assert caught.value.data == {"reason": 1}


def test_a_handle_hears_of_a_promise_nobody_may_listen_to(resonate: Resonate):
    """A local child is internal; its handle asks now and then."""
    may_end = threading.Event()

    def child(ctx):
        assert may_end.wait(WAIT_S)
        return 7

    @resonate.register
    def foo(ctx):
        return (yield ctx.run(child))

    handle = foo.begin_run("id")
    handle.created(WAIT_S)
    while True:
        try:
            inner = resonate.get("id.1")
            break
        except NotFoundError:
            continue
    may_end.set()

    assert handle.result(WAIT_S) == 7
    assert inner.result(40) == 7


def test_an_execution_past_its_deadline_is_timed_out(resonate: Resonate):
    @resonate.register
    def foo(ctx):
        yield ctx.promise(id="answer")
        yield Promise("answer")

    with pytest.raises(TimedOutError):
        foo.options(timeout=0.2).begin_run("id").result(WAIT_S)


# Errors that must reach the caller


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ExceptionGroup("several", [ValueError("a"), KeyError("b")]), "several"),
        (ValueError("x" * 770_000), "xxx"),
        (ValueError("no unicode \udcff"), "no unicode"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "invalid start byte"),
    ],
    ids=["group", "large", "not unicode", "UnicodeDecodeError"],
)
@pytest.mark.parametrize("where", ["root", "child"])
def test_an_error_of_any_shape_reaches_the_caller(resonate: Resonate, error, text, where):
    def fail(ctx):
        raise error

    @resonate.register(retry_policy=Never())
    def root(ctx):
        return fail(ctx)

    @resonate.register
    def parent(ctx):
        yield ctx.run(fail).options(retry_policy=Never())

    function = root if where == "root" else parent
    with pytest.raises(Exception, match=text):
        function.begin_run("id").result(2)


# Threads and concurrency


def test_begun_functions_run_beside_each_other(make_client: MakeClient):
    client = make_client(workers=3)
    all_there = threading.Barrier(3, timeout=WAIT_S)

    def meet(ctx):
        all_there.wait()
        return 1

    @client.register
    def foo(ctx):
        promises = []
        for _ in range(3):
            promises.append((yield ctx.begin_run(meet)))
        total = 0
        for promise in promises:
            total += yield promise
        return total

    assert foo.begin_run("id").result(WAIT_S) == 3


def test_a_begun_function_starts_at_once_not_when_it_is_awaited(make_client: MakeClient):
    client = make_client(workers=2)
    started = threading.Event()

    def child(ctx):
        started.set()

    @client.register
    def foo(ctx):
        promise = yield ctx.begin_run(child)
        is_started = started.wait(2)  # ordinary work that takes its time
        yield promise
        return is_started

    assert foo.begin_run("id").result(WAIT_S) is True


def test_no_more_functions_run_at_a_time_than_there_are_workers(make_client: MakeClient):
    client = make_client(workers=2)
    running, most, lock = [0], [0], threading.Lock()
    turn = threading.Barrier(2, timeout=WAIT_S)

    def step(ctx):
        with lock:
            running[0] += 1
            most[0] = max(most)
            most.append(running[0])
        turn.wait()
        with lock:
            running[0] -= 1

    @client.register
    def foo(ctx):
        for _ in range(10):
            yield ctx.begin_run(step)

    foo.begin_run("id").result(WAIT_S)
    assert max(most) == 2


def test_many_executions_wait_for_each_other_without_taking_up_workers(make_client: MakeClient):
    client = make_client(workers=1, max_concurrent_tasks=2)

    @client.register
    def inner(ctx, n):
        yield ctx.sleep(0)
        return n

    @client.register
    def outer(ctx, n):
        return (yield ctx.rpc("inner", n))

    handles = [outer.begin_rpc(f"outer-{n}", n) for n in range(20)]

    assert [handle.result(WAIT_S) for handle in handles] == list(range(20))


def test_a_plain_function_may_use_the_client(make_client: MakeClient):
    client = make_client(workers=2)

    @client.register
    def other(ctx):
        return 7

    @client.register
    def foo(ctx):
        return other.begin_run("other").result(WAIT_S)

    assert foo.begin_run("id").result(WAIT_S) == 7


def test_a_workflow_that_uses_the_client_is_told_what_to_write(make_client: MakeClient):
    client = make_client(workers=2)

    @client.register
    def other(ctx):
        return 7

    @client.register
    def foo(ctx):
        other.run("other")
        yield ctx.sleep(0)

    with pytest.raises(UsageError, match=r"ctx\.run"):
        foo.begin_run("id").result(WAIT_S)


def test_nothing_of_the_users_runs_on_the_thread_that_keeps_the_leases(resonate: Resonate):
    threads = {}

    def note(what):
        threads[what] = threading.current_thread().name

    def decorated(func):
        @wraps(func)
        def wrapper(ctx, *args):
            note("decorator")
            return func(ctx, *args)

        return wrapper

    @dataclass
    class Checked:
        number: int

        def __post_init__(self):
            if threading.current_thread() is not threading.main_thread():
                note("values")

    @resonate.register
    @decorated
    def foo(ctx, argument: Checked) -> Workflow[Checked]:
        note("generator")
        yield ctx.run(leaf)
        return argument

    def leaf(ctx):
        note("function")

    foo.begin_run("id", Checked(1)).result(WAIT_S)

    assert threads.keys() == {"decorator", "values", "generator", "function"}
    assert "resonate-io" not in threads.values()


# Retries end to end


def test_a_function_is_retried_until_it_succeeds(resonate: Resonate):
    attempts = []

    @resonate.register(retry_policy=Constant(delay=0.01, max_retries=3))
    def foo(ctx):
        attempts.append(ctx.info.attempt)
        if len(attempts) < 4:
            raise ValueError("not yet")
        return "at last"

    assert foo.begin_run("id").result(WAIT_S) == "at last"
    assert attempts == [1, 2, 3, 4]


def test_an_unknown_function_is_run_by_the_worker_that_knows_it(make_client: MakeClient, caplog):
    ignorant, knowing = make_client(), make_client()

    @ignorant.register
    def other(ctx):
        return None

    ignorant.start()
    handle = ignorant.begin_rpc("id", "foo")
    handle.created(WAIT_S)

    @knowing.register
    def foo(ctx):
        return "known"

    knowing.start()
    assert handle.result(WAIT_S) == "known"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
