"""Every snippet of the documents runs as it is printed, in local mode and over RabbitMQ."""

import re
import secrets
import threading
import time
from typing import Any

import pytest

from resonate_sdk import Context, Resonate, poll
from tests.acceptance.seeds import snippets
from tests.acceptance.seeds.conftest import MakeClient, Place

WAIT_S = 20.0


def execute(snippet: str, **names: Any) -> dict[str, Any]:
    """Run a snippet in a module of its own that has these names; return all its names."""
    module = {"__name__": "snippet", **names}
    exec(compile(snippet, "<snippet>", "exec"), module)
    return module


def returning(snippet: str, value: str) -> str:
    """The snippet with a value where it prints `return` or `return result` of nothing."""
    return re.sub(r"# \.\.\.\n    return( result)?\n", f"return {value}\n", snippet)


def and_return(snippet: str, value: str) -> str:
    """The snippet with a last line that shows what its last function has found."""
    return f"{snippet}    return {value}\n"


def new_id() -> str:
    return f"id-{secrets.token_hex(4)}"


def test_initializing_clients(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RESONATE_URL", "amqp://nobody.invalid:1/")  # local mode needs no network

    client: Resonate = execute(snippets.INITIALIZE)["resonate"]

    client.register(lambda ctx: "runs", name="f")
    assert client.run("id", "f") == "runs"
    client.stop()


def test_registering_functions(make_client: MakeClient):
    resonate = make_client("registering")

    foo = execute(snippets.REGISTER, resonate=resonate, Context=Context, result="done")["foo"]

    assert foo.run(new_id(), "x") == "done"


def test_run(make_client: MakeClient):
    resonate, runs = make_client("run"), []
    snippet = and_return(
        returning(snippets.RUN, "runs.append(arg) or 'done'"), "handle.result(), result"
    )

    main = execute(snippet, resonate=resonate, Context=Context, runs=runs)["main"]

    assert main() == ("done", "done")
    assert runs == ["Hello World!"]


def test_rpc(make_client: MakeClient):
    process_x, process_y = make_client("process-group-x"), make_client("y")
    execute(returning(snippets.RPC_CALLEE, "arg.lower()"), resonate=process_x, Context=Context)
    caller = and_return(snippets.RPC_CALLER, "handle.result(), result")

    main = execute(caller, resonate=process_y)["main"]

    assert main() == ("hello world!", "hello world!")


def test_promises(make_client: MakeClient):
    resonate = make_client("promises")

    execute(snippets.PROMISES, resonate=resonate, time=time)

    assert resonate.promises.get("promise-id").state == "resolved"


def test_dependencies(make_client: MakeClient):
    resonate, db_connection, found = make_client("dependencies"), object(), []

    execute(snippets.SET_DEPENDENCY, resonate=resonate, db_connection=db_connection)
    module = execute(
        snippets.GET_DEPENDENCY.replace("# use database", "found.append(db_conn) # use database"),
        resonate=resonate,
        found=found,
    )
    module["foo"].run(new_id(), 1)
    resonate.set_dependency("database-connection", db_connection)
    module["foo"].run(new_id(), 1)

    assert found == [None, db_connection]


def test_run_of_a_context(make_client: MakeClient):
    resonate = make_client("context-run")
    snippet = returning(snippets.CONTEXT_RUN, "arg.upper()").replace(
        "    result = promise.result()", "    return result, promise.result()"
    )

    foo = execute(snippet, resonate=resonate, Context=Context, string=str)["foo"]

    assert foo.begin_run(new_id(), "x").result(WAIT_S) == ["X", "X"]


def test_rpc_of_a_context(make_client: MakeClient):
    resonate = make_client("context-rpc")
    caller = and_return(snippets.CONTEXT_RPC_CALLER, "promise.result() + result")

    foo = execute(caller, resonate=resonate, Context=Context)["foo"]
    execute(
        returning(snippets.CONTEXT_RPC_CALLEE, "f'<{arg}>'"), resonate=resonate, Context=Context
    )

    assert foo.begin_run(new_id(), "x").result(WAIT_S) == "<x><x>"


@pytest.mark.parametrize("exists_before", [False, True])
def test_get_or_create_promise(make_other_client: MakeClient, exists_before: bool):
    """The second time, the id is taken: the function attaches to the promise, which is settled."""
    resonate, waits = make_other_client("context-promise"), threading.Event()
    if exists_before:
        resonate.promises.create("promise-id", expires_in=60)
    snippet = snippets.CONTEXT_PROMISE.replace("# do something", "waits.set()").replace(
        "    yield promise #", "    return (yield promise) #"
    )

    foo = execute(snippet, resonate=resonate, waits=waits)["foo"]
    handle = foo.begin_run(new_id(), 1)
    assert waits.wait(WAIT_S)
    resonate.promises.resolve("promise-id", {"approved": True})

    assert handle.result(WAIT_S) == {"approved": True}


def test_sleep(make_client: MakeClient):
    resonate, id = make_client("sleep"), new_id()

    foo = execute(snippets.SLEEP.replace("5.0", "0.2"), resonate=resonate)["foo"]

    assert foo.begin_run(id, 1).result(WAIT_S) is None
    call, nap = resonate.promises.get(id), resonate.promises.get(f"{id}.1")
    assert nap.settled_at is not None
    # The nap itself may be created late: its end has been fixed by then.
    assert nap.settled_at - call.created_at >= 150


@pytest.mark.parametrize(("snippet", "found"), [(snippets.RANDOM, "rand"), (snippets.TIME, "time")])
def test_random_numbers_and_the_time(make_client: MakeClient, snippet: str, found: str):
    """The function sleeps once it knows the value, and finds the same one when it is replayed."""
    resonate, id, values = make_client("recorded", cache_size=0), new_id(), []
    wait = f"values.append({found}); yield ctx.sleep(0.05)"
    seen = and_return(snippet.replace(f"# do something with {found}", wait), found)

    foo = execute(seen, resonate=resonate, values=values)["foo"]

    value = foo.begin_run(id, 1).result(WAIT_S)
    assert resonate.promises.get(f"{id}.1").result() == value
    assert set(values) == {value}
    assert len(values) >= 2


@pytest.mark.parametrize("id", snippets.IDS)
def test_names_of_executions(make_client: MakeClient, id: str):
    resonate = make_client("names")

    @resonate.register
    def foo(ctx):
        child = yield ctx.run(lambda ctx: ctx.id)
        named = yield ctx.run(lambda ctx: ctx.id).options(id=f"{id}/child")
        return [ctx.id, child, named]

    assert foo.run(id) == [id, f"{id}.1", f"{id}/child"]


@pytest.mark.parametrize("snippet", [snippets.ASYNC_RPC, snippets.ASYNC_RPC_AGAIN])
def test_a_remote_function_invocation(make_client: MakeClient, snippet: str):
    resonate, service_bar = make_client("async-rpc"), make_client("service-bar")
    service_bar.register(lambda ctx, args: args["n"] + 1, name="bar")

    module = execute(and_return(snippet, "result"), resonate=resonate, poll=poll)

    assert module["foo"].begin_run(new_id(), {"n": 1}).result(WAIT_S) == 2


def test_the_fan_out_of_a_service(
    place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """With its own constructor, over RabbitMQ, whose URL stands in place of the gateway's."""
    for name in ("RESONATE_NAMESPACE", "RESONATE_URL"):
        monkeypatch.setenv(name, place[name])
    services = [Resonate(group="service-bar"), Resonate(group="service-baz")]
    services[0].register(lambda ctx: 1, name="bar")
    services[1].register(lambda ctx: 1, name="baz")
    snippet = re.sub(r"http://localhost:800[12]", place["RESONATE_URL"], snippets.FAN_OUT)

    module = execute(snippet, poll=poll)

    assert module["foo"].begin_run(new_id()).result(WAIT_S) == 3
    for client in (module["resonate"], *services):
        client.stop()
    assert set(capfd.readouterr().out.splitlines()) == {"running function foo"}


def test_the_fan_out_in_local_mode(make_client: MakeClient, capfd: pytest.CaptureFixture[str]):
    resonate = make_client("service-foo")
    make_client("service-bar").register(lambda ctx: 1, name="bar")
    make_client("service-baz").register(lambda ctx: 1, name="baz")

    module = execute(snippets.FAN_OUT_FUNCTION, resonate=resonate, poll=poll)

    assert module["foo"].begin_run(new_id()).result(WAIT_S) == 3
    assert set(capfd.readouterr().out.splitlines()) == {"running function foo"}
