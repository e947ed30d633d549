"""Stored executions against code that is the same, or has changed."""

from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from resonate_sdk import Resonate, UsageError
from resonate_sdk.debug import History, check, replay
from resonate_sdk.testing import Environment

steps = []


def step(ctx, n):
    steps.append(n)
    return n + 1


def other(ctx, n):
    raise AssertionError("no step is run")


def original(ctx, n):
    first = yield ctx.run(step, n)
    yield ctx.sleep(60)
    second = yield ctx.run(step, first)
    approval = yield (yield ctx.promise())
    return [second, approval]


def renamed_step(ctx, n):
    first = yield ctx.run(step, n)
    yield ctx.sleep(60)
    yield ctx.run(other, first)


def without_sleep(ctx, n):
    first = yield ctx.run(step, n)
    return (yield ctx.run(step, first))


def shorter(ctx, n):
    return (yield ctx.run(step, n))


def longer(ctx, n):
    result = yield from original(ctx, n)
    yield ctx.run(other, 1)
    return result


def another_result(ctx, n):
    yield from original(ctx, n)
    return "something else"


async def as_coroutine(ctx, n):
    first = await ctx.run(step, n)
    await ctx.sleep(60)
    second = await ctx.run(step, first)
    promise = await ctx.promise()
    return [second, await promise]


def fails(ctx, n):
    yield ctx.run(step, n)
    raise LookupError(f"nothing at {n}")


def record(func, *, until="the end"):
    """The history of an execution, whole or up to where it waits."""
    steps.clear()
    with Environment() as env:
        env.register(func, name="original")
        handle = env.worker().client.begin_run("id", "original", 1)
        env.run_until_idle()
        if until != "the sleep":
            env.advance(60)
        if until == "the end" and func is not fails:
            env.promises.resolve("id.4", "yes")
            assert handle.result() == [3, "yes"]
        history = env.history("id")
    steps.clear()
    return history


@pytest.fixture(scope="module")
def ended():
    return record(original)


@pytest.mark.parametrize("func", [original, as_coroutine])
@pytest.mark.parametrize("until", ["the sleep", "the promise", "the end"])
def test_the_same_code_agrees_however_far_it_came(func, until):
    report = replay(record(original, until=until), func=func)

    assert report.verdict == "agrees", report.reason
    assert report.steps == {"the sleep": 2, "the promise": 4, "the end": 4}[until]
    assert steps == []


@pytest.mark.parametrize(
    ("func", "reason"),
    [
        (renamed_step, "'id.3' is recorded as call:step.* makes it call:other"),
        (without_sleep, "'id.2' is recorded as timer.* makes it call:step"),
        (shorter, r"it ends without the recorded 'id.2' \(timer\)"),
        (longer, r"a further call, 'id.5' \(call:other\), where the recorded one had ended"),
        (another_result, r"was resolved with \[3, 'yes'\], and is now resolved with 'something"),
    ],
    ids=lambda found: getattr(found, "__name__", "reason"),
)
def test_changed_code_differs_and_is_told_where(ended, func, reason):
    report = replay(ended, func=func)

    assert report.verdict == "differs"
    with pytest.raises(AssertionError, match=reason):
        report.check()
    assert steps == []


def test_the_line_of_the_call_is_named(ended):
    where = replay(ended, func=renamed_step).where

    file, _, line = where.rpartition(":")
    assert file == __file__
    assert int(line) == renamed_step.__code__.co_firstlineno + 3


def test_a_failure_is_compared_by_class_and_message():
    history = record(fails)

    assert replay(history, func=fails).verdict == "agrees"


def test_code_may_go_on_beyond_the_record():
    """It is still running: what comes after the sleep has not been recorded."""
    report = replay(record(original, until="the sleep"), func=renamed_step)

    assert report.verdict == "agrees"


def test_a_plain_function_has_nothing_to_replay(ended):
    assert replay(ended, func=step).verdict == "untested"


def test_a_history_survives_its_file(ended, tmp_path):
    ended.save(tmp_path / "id.json")

    assert History.load(tmp_path / "id.json") == ended


def test_a_file_that_is_no_history_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"root": 1}')

    with pytest.raises(UsageError, match=r"x\.json is no history"):
        History.load(tmp_path / "x.json")


def test_histories_are_checked_with_the_functions_of_a_module(ended, tmp_path):
    ended.save(tmp_path / "id.json")
    module = ModuleType("app")
    with Resonate.local(autostart=False) as resonate:
        vars(module)["f"] = resonate.register(original)
        assert [report.verdict for report in check([tmp_path], module)] == ["agrees"]
        changed = resonate.register(shorter, name="original", version=2)
        with pytest.raises(AssertionError, match="id: it ends without the recorded"):
            check([tmp_path], [_as_version_one(changed)])


def _as_version_one(function):
    function.version = 1
    return function


def test_a_client_gives_its_executions():
    with Environment() as env:
        env.register(original)
        client = env.client()
        client.begin_run("id", original, 1)
        env.run_until_idle()

        assert replay(client, "id", original).verdict == "agrees"
        with pytest.raises(UsageError, match="needs the id"):
            replay(client)


def test_a_client_knows_the_function_its_dependencies_and_how_to_decrypt():
    def asks(ctx, n):
        return (yield ctx.run(step, n + ctx.get_dependency("more")))

    class Hidden:
        name = "reversed"

        def encrypt(self, plain, headers):
            return plain[::-1]

        def decrypt(self, cipher, headers):
            return cipher[::-1]

    with Environment() as env:
        env.register(asks)
        client = env.client(encryptor=Hidden(), dependencies={"more": 1})
        assert client.begin_run("id", asks, 1).result() == 3

        report = replay(client, "id")

    assert (report.func, report.verdict, report.steps) == ("asks version 1", "agrees", 1)


def test_a_file_is_replayed(ended: History, tmp_path: Path):
    ended.save(tmp_path / "id.json")
    nothing: Any = None

    assert replay(str(tmp_path / "id.json"), func=original).verdict == "agrees"
    with pytest.raises(UsageError, match=r"^None is no history, as history\(client, id\)"):
        replay(nothing, func=original)


@pytest.mark.parametrize("style", ["generator", "coroutine"])
def test_a_debugger_stops_in_the_line_that_makes_the_call(style, monkeypatch, capsys):
    def generator(ctx, n):
        once = yield ctx.run(step, n)
        return (yield ctx.run(step, once))

    async def coroutine(ctx, n):
        once = await ctx.run(step, n)
        return await ctx.run(step, once)

    func = generator if style == "generator" else coroutine
    with Environment() as env:
        env.register(func, name="func")
        env.client().begin_run("id", "func", 40).result()
        recorded = env.history("id")
    monkeypatch.setattr("sys.stdin", StringIO("p once + 1\nc\n"))

    report = replay(recorded, func=func, break_at="id.2")

    printed = capsys.readouterr().out
    assert f"{Path(__file__).name}({func.__code__.co_firstlineno + 2}){style}()" in printed
    assert "(Pdb) 42\n" in printed
    assert report.verdict == "agrees"
