"""What the seed documents show, as they show it, on `Resonate.local()`."""

import threading
import time

import pytest

from resonate_sdk import Context, Poller, RemoteStore, Resonate, poll
from tests.acceptance.local.conftest import MakeClient

WAIT_S = 20.0


# Develop with Resonate: client APIs


def test_initializing_a_client_needs_nothing():
    resonate = Resonate.local()

    resonate.stop()


def test_run_and_begin_run(resonate: Resonate):
    runs = []

    @resonate.register
    def foo(context: Context, arg: str) -> str:
        runs.append(arg)
        return "done"

    result = foo.run("invocation-id", "Hello World!")
    handle = foo.begin_run("invocation-id", "Hello World!")

    assert result == "done"
    assert handle.result(WAIT_S) == "done"
    assert runs == ["Hello World!"]


def test_rpc_and_begin_rpc(make_client: MakeClient):
    process_x, process_y = make_client(group="process-group-x"), make_client()
    runs = []

    @process_x.register
    def foo(context: Context, arg: str):
        runs.append(arg)
        return f"{arg} and back"

    result = process_y.options(target="process-group-x").rpc(
        "invocation_id", func="foo", arg="Hello World!"
    )
    handle = process_y.options(target="process-group-x").begin_rpc(
        "invocation_id", func="foo", arg="Hello World!"
    )

    assert result == "Hello World! and back"
    assert handle.result(WAIT_S) == "Hello World! and back"
    assert runs == ["Hello World!"]


def test_promises(resonate: Resonate):
    created = resonate.promises.create(
        id="promise-id",
        timeout=int(time.time() * 1000) + 30000,  # noqa: TID251  # as the seed has it
    )
    found = resonate.promises.get("promise-id")
    resolved = resonate.promises.resolve("promise-id")
    rejected = resonate.promises.reject("promise-id")

    states = [record.state for record in (created, found, resolved, rejected)]
    assert states == ["pending", "pending", "resolved", "resolved"]


@pytest.mark.parametrize(
    "id",
    [
        "news_feed_2026-01-01",
        "staging/analytics/monthly-report/2023-05",
        "k8s/staging/namespace/analytics/gpu/h100/monthly-report-2023-05",
        "executions/a7b89c3d-f012-4e78-9a7d-89a3f6b2e1c7",
        "with.dots.and:colons and spaces",
        "Ünïcode-名前",
    ],
)
def test_naming_schemes(resonate: Resonate, id):
    def bar(ctx):
        return ctx.id

    @resonate.register
    def foo(ctx):
        child = yield ctx.run(bar)
        named = yield ctx.run(bar).options(id=f"{id}/child")
        yield ctx.promise(id=f"{id}/promise")
        return [ctx.id, child, named]

    assert foo.run(id) == [id, f"{id}.1", f"{id}/child"]
    assert resonate.promises.get(f"{id}/promise").pending


def test_dependency_injection(resonate: Resonate):
    db_connection = object()
    found = []

    @resonate.register
    def foo(ctx, arg):
        found.append(ctx.get_dependency("db"))
        return ctx.get_dependency("database-connection") is None

    resonate.set_dependency("db", db_connection)

    assert foo.run("id", 1) is True
    assert found == [db_connection]


# Function APIs


def test_run_in_a_function(resonate: Resonate):
    def bar(ctx: Context, arg: str):
        return f"bar of {arg}"

    @resonate.register
    def foo(ctx: Context, arg: str):
        result = yield ctx.run(bar, arg)
        promise = yield ctx.begin_run(bar, arg)
        return [result, (yield promise)]

    assert foo.run("id", "x") == ["bar of x", "bar of x"]


def test_the_result_of_a_promise_in_a_function(resonate: Resonate):
    """The seed writes `promise.result()` where it begins a call and waits for it later."""
    bodies = []

    def bar(ctx: Context, arg: str):
        return f"bar of {arg}"

    @resonate.register
    def foo(ctx: Context, arg: str):
        bodies.append(1)
        promise = yield ctx.begin_run(bar, arg)
        return promise.result()

    assert foo.begin_run("id", "x").result(WAIT_S) == "bar of x"


def test_rpc_in_a_function(make_client: MakeClient):
    process_x, process_y = make_client(), make_client()

    @process_x.register
    def foo(ctx: Context, arg: str):
        result = yield ctx.rpc("bar", arg)
        promise = yield ctx.begin_rpc("bar", arg)
        return result + (yield promise)

    @process_y.register
    def bar(ctx: Context, arg: str) -> str:
        return f"<{arg}>"

    # Both serve one group: a call may meet the process that does not know the function.
    assert foo.begin_run("id", "x").result(WAIT_S) == "<x><x>"


def test_get_dependency(resonate: Resonate):
    resonate.set_dependency("database-connection", {"rows": 3})

    @resonate.register
    def foo(ctx, arg):
        db_conn = ctx.get_dependency("database-connection")
        return db_conn["rows"] + arg
        yield

    assert foo.run("id", 1) == 4


@pytest.mark.parametrize("exists_before", [True, False])
def test_get_or_create_promise(resonate: Resonate, exists_before):
    waits = threading.Event()

    def note(ctx):
        waits.set()

    @resonate.register
    def foo(ctx, arg):
        promise = yield ctx.promise(id="promise-id")
        yield ctx.run(note)
        value = yield promise
        return [arg, value]

    if exists_before:
        resonate.promises.create("promise-id", expires_in=60)
    handle = foo.begin_run("id", 1)
    assert waits.wait(WAIT_S)
    assert not handle.done()

    resonate.promises.resolve("promise-id", {"approved": True})

    assert handle.result(WAIT_S) == [1, {"approved": True}]


def test_sleep(resonate: Resonate):
    @resonate.register
    def foo(ctx, arg):
        yield ctx.sleep(0.25)
        return arg

    began = time.monotonic()
    assert foo.run("id", 7) == 7
    took_s = time.monotonic() - began

    assert 0.25 <= took_s < 5
    nap = resonate.promises.get("id.1")
    assert nap.settled_at == nap.timeout_at


def test_a_sleep_of_nothing_returns(resonate: Resonate):
    @resonate.register
    def foo(ctx):
        return (yield ctx.sleep(0))

    assert foo.run("id") is None


def test_others_go_on_while_some_sleep(make_client: MakeClient):
    resonate = make_client(workers=1, max_concurrent_tasks=1)

    @resonate.register
    def sleeper(ctx):
        yield ctx.sleep(3_600)

    @resonate.register
    def quick(ctx):
        return "done"

    for n in range(5):
        resonate.begin_rpc(f"sleeper-{n}", sleeper).created(WAIT_S)

    assert resonate.begin_rpc("quick", quick).result(WAIT_S) == "done"


# Resonate is also an async RPC framework


def fan_out(make_client: MakeClient):
    """Three services, each a client of its own."""
    service_foo = make_client(group="service-foo")
    service_bar = make_client(group="service-bar")
    service_baz = make_client(group="service-baz")
    return service_foo, service_bar, service_baz


def test_the_fan_out_over_three_services(make_client: MakeClient, capsys):
    resonate, service_bar, service_baz = fan_out(make_client)

    @resonate.register
    def foo(ctx):
        try:
            print("running function foo")  # noqa: T201
            promise_bar = yield ctx.rfi("bar").options(send_to=poll("service-bar"))
            promise_baz = yield ctx.rfi("baz").options(send_to=poll("service-baz"))
            result_bar = yield promise_bar
            result_baz = yield promise_baz
            return result_bar + result_baz + 1
        except Exception as e:
            print(e)  # noqa: T201
            raise

    @service_bar.register
    def bar(ctx):
        return 1

    @service_baz.register
    def baz(ctx):
        return 1

    assert foo.begin_run("fan-out").result(WAIT_S) == 3
    assert set(capsys.readouterr().out.splitlines()) == {"running function foo"}


def test_the_first_snippet(make_client: MakeClient):
    resonate, service_bar, _ = fan_out(make_client)

    @resonate.register
    def foo(ctx, args):
        promise_bar = yield ctx.rfi("bar", args).options(send_to=poll("service-bar"))
        # ... Do some stuff
        result = yield promise_bar
        return result

    @service_bar.register
    def bar(ctx, args):
        return args["n"] + 1

    assert foo.begin_run("id", {"n": 1}).result(WAIT_S) == 2


def test_the_import_lines_of_the_first_sdks():
    from resonate_sdk.client.resonate import Resonate as Client
    from resonate_sdk.stores.remote import RemoteStore as Store
    from resonate_sdk.task_sources.poller import Poller as Source

    assert (Client, Store, Source) == (Resonate, RemoteStore, Poller)


def test_a_chain_over_three_services(make_client: MakeClient):
    service_foo, service_bar, service_baz = fan_out(make_client)

    @service_foo.register
    def foo(ctx, n):
        return (yield ctx.rfc("bar", n).options(send_to=poll("service-bar"))) + 1

    @service_bar.register
    def bar(ctx, n):
        return (yield ctx.rfc("baz", n).options(send_to=poll("service-baz"))) * 10

    @service_baz.register
    def baz(ctx, n):
        return n + 1

    assert foo.begin_run("id", 1).result(WAIT_S) == 21


def test_a_detached_chain(make_client: MakeClient):
    service_foo, service_bar, service_baz = fan_out(make_client)
    ended = threading.Event()
    may_end = threading.Event()

    @service_foo.register
    def foo(ctx):
        promise = yield ctx.detached("bar").options(send_to=poll("service-bar"))
        return promise.id

    @service_bar.register
    def bar(ctx):
        yield ctx.detached("baz").options(send_to=poll("service-baz"), id="last")

    @service_baz.register
    def baz(ctx):
        assert may_end.wait(WAIT_S)
        ended.set()
        return "the end"

    id = foo.begin_run("id").result(WAIT_S)
    assert service_foo.get(id).result(WAIT_S) is None
    assert not ended.is_set()
    may_end.set()

    assert service_foo.get("last").result(WAIT_S) == "the end"


def test_the_aliases_in_every_combination(make_client: MakeClient):
    resonate, service_bar, _ = fan_out(make_client)

    def local(ctx, n):
        return n

    @service_bar.register
    def remote(ctx, n):
        return n

    @resonate.register
    def foo(ctx):
        target = poll("service-bar")
        a = yield ctx.lfc(local, 1)
        b = yield (yield ctx.lfi(local, 2))
        c = yield ctx.rfc("remote", 3).options(send_to=target)
        d = yield (yield ctx.rfi("remote", 4).options(send_to=target))
        return [a, b, c, d]

    assert foo.begin_run("id").result(WAIT_S) == [1, 2, 3, 4]


def test_a_failure_crosses_services_with_its_class(make_client: MakeClient):
    resonate, service_bar, _ = fan_out(make_client)

    @service_bar.register
    def bar(ctx):
        raise LookupError("no such account")
        yield

    @resonate.register
    def foo(ctx):
        try:
            yield ctx.rfc("bar").options(send_to=poll("service-bar"))
        except LookupError as error:
            return str(error)

    assert foo.begin_run("id").result(WAIT_S) == "no such account"
    with pytest.raises(LookupError, match="no such account"):
        resonate.options(target="service-bar").begin_rpc("direct", "bar").result(WAIT_S)


# Recursion


def fib(ctx, n):
    if n < 2:
        return n
    a = yield ctx.begin_run(fib, n - 1)
    b = yield ctx.begin_run(fib, n - 2)
    return (yield a) + (yield b)


def test_fibonacci_by_run_with_one_worker(make_client: MakeClient):
    resonate = make_client(workers=1)
    function = resonate.register(fib)

    assert function.begin_run("fib", 10).result(WAIT_S) == 55


def test_fibonacci_by_rpc_with_one_worker(make_client: MakeClient):
    resonate = make_client(workers=1)

    @resonate.register
    def fib(ctx, n):
        if n < 2:
            return n
        a = yield ctx.rfi("fib", n - 1)
        b = yield ctx.rfi("fib", n - 2)
        return (yield a) + (yield b)

    assert fib.begin_run("fib", 8).result(WAIT_S) == 21


def test_fibonacci_by_rpc_with_memory_computes_each_number_once(make_client: MakeClient):
    resonate = make_client(workers=1, max_concurrent_tasks=1)
    computed = []

    def compute(ctx, n):
        computed.append(n)

    @resonate.register
    def fib(ctx, n):
        yield ctx.run(compute, n)
        if n < 2:
            return n
        a = yield ctx.rfi("fib", n - 1).options(id=f"fib-{n - 1}")
        b = yield ctx.rfi("fib", n - 2).options(id=f"fib-{n - 2}")
        return (yield a) + (yield b)

    assert fib.begin_run("fib-12", 12).result(WAIT_S) == 144
    assert sorted(computed) == list(range(13))


def test_factorial_by_every_kind_of_call(make_client: MakeClient):
    resonate = make_client(workers=1)

    @resonate.register
    def factorial(ctx, n, kinds):
        if n < 2:
            return 1
        first, *rest = kinds
        inner = yield getattr(ctx, first)(factorial, n - 1, [*rest, first])
        return n * (inner if first in ("lfc", "rfc") else (yield inner))

    handle = factorial.begin_run("id", 8, ["lfc", "rfi", "lfi", "rfc"])

    assert handle.result(WAIT_S) == 40_320


def test_local_recursion_deeper_than_there_are_workers(make_client: MakeClient):
    resonate = make_client(workers=1)

    def down(ctx, n):
        return 0 if n == 0 else 1 + (yield ctx.run(down, n - 1))

    function = resonate.register(down)

    assert function.begin_run("d", 100).result(WAIT_S) == 100


def test_a_wide_fan_out(resonate: Resonate):
    def square(ctx, n):
        return n * n

    @resonate.register
    def foo(ctx, count):
        promises = []
        for n in range(count):
            promises.append((yield ctx.begin_run(square, n)))
        total = 0
        for promise in promises:
            total += yield promise
        return total

    assert foo.begin_run("id", 1_000).result(WAIT_S) == sum(n * n for n in range(1_000))


def test_a_wide_fan_out_by_rpc(resonate: Resonate):
    """Many results that have come meanwhile are learned in one replay, not in one replay each."""

    @resonate.register
    def square(ctx, n):
        return n * n

    @resonate.register
    def foo(ctx, count):
        promises = []
        for n in range(count):
            promises.append((yield ctx.begin_rpc(square, n)))
        total = 0
        for promise in promises:
            total += yield promise
        return total

    assert foo.begin_run("id", 600).result(10) == sum(n * n for n in range(600))
