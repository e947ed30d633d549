"""What a function may know of its own execution, however it was called; and what its promise tells."""

import pytest

from resonate_sdk.testing import Environment

START_S = 1_767_225_600  # the first instant of 2026
HOUR_S = 3_600


def seen(ctx):
    info = ctx.info
    return {
        "id": info.id,
        "parent": info.parent_id,
        "origin": info.origin_id,
        "branch": info.branch_id,
        "func": info.func,
        "version": info.version,
        "attempt": info.attempt,
        "timeout": info.timeout,
        "key": info.idempotency_key,
        "team": info.tags.get("team"),
    }


def caller(ctx, way):
    call = getattr(ctx, way)(seen).options(
        tags={"team": "b"}, idempotency_key="k", timeout=60, target="default"
    )
    found = yield call
    if way.startswith("begin") or way == "detached":
        found = yield found
    return found


WAYS = ("run", "begin_run", "rpc", "begin_rpc", "detached")


def run(func, *args, **options):
    with Environment() as env:
        env.register(seen, name="seen", version=3)
        env.worker(register=[caller])
        return env.client("x").options(target="default", **options).rpc("id", func, *args)


def test_the_root_of_an_execution():
    assert run("seen", version=3, tags={"team": "a"}, idempotency_key="i", timeout=HOUR_S) == {
        "id": "id",
        "parent": "id",
        "origin": "id",
        "branch": "id",
        "func": "seen",
        "version": 3,
        "attempt": 1,
        "timeout": START_S + HOUR_S,
        "key": "i",
        "team": "a",
    }


@pytest.mark.parametrize("way", WAYS)
def test_what_it_calls(way):
    found = run("caller", way, timeout=HOUR_S)

    child = found.pop("id")
    if way == "detached":
        assert child.startswith("id.d")
    else:
        assert child == "id.1"
    is_local = way in ("run", "begin_run")
    assert found == {
        "parent": "id",
        "origin": child if way == "detached" else "id",
        "branch": "id" if is_local else child,
        "func": "seen",
        "version": 3,
        "attempt": 1,
        "timeout": START_S + 60,
        "key": "k",
        "team": "b",
    }


@pytest.mark.parametrize("way", WAYS)
def test_a_child_has_no_more_time_than_its_caller_unless_it_is_detached(way):
    found = run("caller", way, timeout=30)

    assert found["timeout"] == START_S + (60 if way == "detached" else 30)


@pytest.mark.parametrize("id", [None, "chosen"])
def test_a_promise_that_was_made_beforehand_is_attached_to(id):
    def asks(ctx):
        return (yield (yield ctx.promise(id=id)))

    with Environment() as env:
        env.worker(register=[asks])
        env.promises.create(id or "id.1")
        handle = env.client("x").options(target="default").begin_rpc("id", asks)
        env.run_until_idle()
        env.promises.resolve(id or "id.1", "yes")

        assert handle.result() == "yes"
