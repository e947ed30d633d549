"""When a client begins to take calls, how many at a time, and what it refuses to register."""

import threading
from typing import Any

import pytest

from resonate_sdk import LocalServer, RegistrationError, Resonate, UsageError
from resonate_sdk.client.runtime import AUTOSTART_S
from tests.acceptance.local.conftest import MakeClient

WAIT_S = 20.0


def leaf(ctx, value=None):
    return value


# Registering


class Shop:
    def __call__(self, ctx):
        return "called"

    def price(self, ctx):
        return "price"


@pytest.mark.parametrize("form", ["function", "decorator"])
@pytest.mark.parametrize(
    ("func", "how", "error", "message"),
    [
        (leaf, {"version": 0}, RegistrationError, "versions begin at 1"),
        (leaf, {"name": ""}, RegistrationError, "no name"),
        (lambda ctx: 1, {}, RegistrationError, "a lambda has no name of its own"),
        (Shop(), {}, RegistrationError, "has no name: register it with name="),
        (lambda: 1, {"name": "f"}, UsageError, "first parameter for the context"),
        (leaf, {"version": "2"}, UsageError, "version of a function is a whole number, found '2'"),
        (leaf, {"name": 7}, UsageError, "the name of a function is a string, found 7"),
    ],
    ids=["version", "empty name", "lambda", "object", "no context", "type", "name type"],
)
def test_what_cannot_be_registered_is_refused_in_both_forms(
    resonate: Resonate, form: str, func: Any, how: dict[str, Any], error: Any, message: str
):
    with pytest.raises(error, match=message):
        resonate.register(**how)(func) if form == "decorator" else resonate.register(func, **how)


@pytest.mark.parametrize("form", ["function", "decorator"])
@pytest.mark.parametrize(
    ("func", "value"),
    [(leaf, None), (Shop(), "called"), (Shop().price, "price"), (lambda ctx: "lambda", "lambda")],
    ids=["function", "object", "method", "lambda"],
)
def test_any_callable_is_registered_in_both_forms(
    resonate: Resonate, form: str, func: Any, value: Any
):
    how: dict[str, Any] = {"name": "it", "version": 2}

    it: Any = (
        resonate.register(**how)(func) if form == "decorator" else resonate.register(func, **how)
    )

    assert (it.name, it.version) == ("it", 2)
    assert (it.run("object"), resonate.run("name", "it")) == (value, value)


# Taking calls


def test_calls_are_taken_soon_after_the_latest_registration(server: LocalServer):
    """A service that only registers its functions serves them; it has time to register all."""
    with Resonate.local(server=server) as service, Resonate.local(server=server) as caller:
        runtime = service._runtime
        delays: list[float] = []
        runtime._subscribe_later = delays.append  # pyright: ignore[reportAttributeAccessIssue]
        service.register(leaf)
        service.register(leaf, name="other")
        service.promises.create("behind both registrations")
        del runtime._subscribe_later
        assert delays == [AUTOSTART_S, AUTOSTART_S] == [0.25, 0.25]

        service.register(leaf, name="last")
        assert caller.begin_rpc("x", "last", 1).result(WAIT_S) == 1


def test_without_autostart_nothing_is_taken_before_the_start(make_client: MakeClient):
    service = make_client(autostart=False)
    service.register(leaf)
    assert not service._runtime.serves

    handle = make_client().begin_rpc("x", "leaf", 1)
    service.start()
    service.start()

    assert handle.result(WAIT_S) == 1


def test_no_more_executions_are_under_way_than_may_be(make_client: MakeClient):
    service = make_client(workers=8, max_concurrent_tasks=2, autostart=False)
    running, lock = [0, 0], threading.Lock()
    pair = threading.Barrier(2, timeout=WAIT_S)

    @service.register
    def busy(ctx):
        with lock:
            running[0] += 1
            running[1] = max(running)
        pair.wait()
        with lock:
            running[0] -= 1
        pair.wait()

    handles = [make_client().begin_rpc(f"x{n}", "busy") for n in range(6)]
    for handle in handles:
        handle.created(WAIT_S)
    service.start()
    for handle in handles:
        handle.result(WAIT_S)

    assert running == [0, 2]


def test_a_client_leaves_no_thread_that_keeps_its_program_alive(make_client: MakeClient):
    before = set(threading.enumerate())
    client = make_client(workers=2)

    @client.register
    async def awaits(ctx):
        return await ctx.run(leaf, 1)

    assert awaits.run("x") == 1
    begun = set(threading.enumerate()) - before
    assert begun
    assert all(thread.daemon for thread in begun)
