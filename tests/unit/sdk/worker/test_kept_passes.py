"""Suspended passes that stay in memory: they go on only if nobody else has had their task."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from resonate_sdk import Promise
from resonate_sdk.execution.effects import CoroutineMoved
from resonate_sdk.protocol import responses
from resonate_sdk.protocol.records import TaskRecord
from resonate_sdk.protocol.requests import (
    TaskAcquire,
    TaskFence,
    TaskFulfill,
    TaskRelease,
    TaskSuspend,
)
from resonate_sdk.protocol.responses import Answer, Redirected, TaskGranted
from resonate_sdk.worker import kept_passes
from tests.unit.sdk import virtual_time
from tests.unit.sdk.bench import (
    CODEC,
    UNREACHABLE,
    NearWire,
    Server,
    in_virtual_time,
    leaf,
    make_bench,
    make_root,
    turns,
)
from tests.unit.sdk.wire import Wire, granted, make_record, refusal


class Body:
    """Waits for two answers, one after the other; takes down how far it came.

    Attributes:
        lines: what it has come past.
    """

    def __init__(self):
        self.lines = []

    def generator(self, ctx):
        self.lines.append("begun")
        try:
            a = yield ctx.promise(id="a")
            a = yield a
            self.lines.append(a)
            b = yield ctx.promise(id="b")
            b = yield b
            self.lines.append(b)
            return (yield ctx.run(leaf, a + b))
        finally:
            self.lines.append("closed")
            ctx.run(leaf)  # has no effect, and is no mistake of anybody's

    async def coroutine(self, ctx):
        self.lines.append("begun")
        try:
            a = await (await ctx.promise(id="a"))
            self.lines.append(a)
            b = await (await ctx.promise(id="b"))
            self.lines.append(b)
            return await ctx.run(leaf, a + b)
        finally:
            self.lines.append("closed")


@pytest.fixture
def body():
    return Body()


@pytest.fixture(params=["generator", "coroutine"])
def style(request):
    return request.param


class Sleepy(Server):
    """Is told when promises settle."""

    def settle(self, id, value):
        done = replace(self.promises[id], state="resolved", value=CODEC.encode(value))
        self.promises[id] = done


@asynccontextmanager
async def make_warm(server, *functions, wire=Wire, cache_size=10):
    async with make_bench(server, *functions, wire=wire, cache_size=cache_size) as bench:
        bench.worker._coroutines.adopt_running_loop()
        yield bench
        await bench.worker.stop(5)
        bench.worker._coroutines.stop()


async def hint(bench, version=0, id="x"):
    """A hint, until everything has happened that follows from it."""
    bench.hint(id, version)
    await virtual_time.elapse(2)


@pytest.mark.parametrize("wire", [Wire, NearWire], ids=["far", "near"])
@in_virtual_time
async def test_a_body_goes_on_where_it_stood_with_the_version_of_the_new_grant(body, style, wire):
    server = Sleepy(make_root(style))
    async with make_warm(server, getattr(body, style), wire=wire) as bench:
        await hint(bench)
        assert body.lines == ["begun"]
        server.settle("a", 1)
        await hint(bench, version=1)
        assert body.lines == ["begun", 1]
        server.settle("b", 10)
        await hint(bench, version=2)

    assert body.lines == ["begun", 1, 10, "closed"]
    (fulfill,) = bench.wire.of(TaskFulfill)
    assert (fulfill.version, CODEC.decode(fulfill.action.data.value)) == (3, 11)
    assert [f.version for f in bench.wire.of(TaskFence)] == [1, 2, 3, 3]
    assert [s.version for s in bench.wire.of(TaskSuspend)] == [1, 2]
    assert not bench.worker._kept
    assert not bench.worker._drivers
    assert not bench.leases.are_held


@in_virtual_time
async def test_a_body_goes_on_at_once_when_it_could_not_be_suspended(body, style):
    def redirect(request):
        ((id),) = [action.data.awaited for action in request.actions]
        server.settle(id, 5)
        return Answer(responses.REDIRECT, Redirected(preload=(server.promises[id],)))

    server = Sleepy(make_root(style))
    server.overrules[TaskSuspend] = redirect
    async with make_warm(server, getattr(body, style)) as bench:
        await hint(bench)

    assert body.lines == ["begun", 5, 5, "closed"]
    assert len(bench.wire.of(TaskSuspend)) == 2
    assert CODEC.decode(bench.wire.of(TaskFulfill)[0].action.data.value) == 10


@in_virtual_time
async def test_without_a_cache_it_begins_anew(body, style):
    server = Sleepy(make_root(style))
    async with make_warm(server, getattr(body, style), cache_size=0) as bench:
        await hint(bench)
        assert body.lines == ["begun", "closed"]
        assert not bench.worker._kept
        server.settle("a", 1)
        await hint(bench, version=1)

    assert body.lines == ["begun", "closed", "begun", 1, "closed"]


@in_virtual_time
async def test_what_somebody_else_has_had_meanwhile_begins_anew(body, style):
    """Whoever held it may have come further: the version of the grant tells."""
    server = Sleepy(make_root(style))
    async with make_warm(server, getattr(body, style)) as bench:
        await hint(bench)
        server.settle("a", 1)
        await hint(bench, version=2)
        assert sorted(map(str, body.lines)) == ["1", "begun", "begun", "closed"]
        assert len(bench.worker._kept) == 1

    assert {fence.version for fence in bench.wire.of(TaskFence)} == {1, 3}


@in_virtual_time
async def test_what_is_closed_when_there_is_no_room_any_more_has_no_effect(body, style):
    def function(ctx):
        yield ctx.sleep(60)

    roots = {id: Sleepy(make_root(style if id == "x" else "function", id=id)) for id in "xyz"}

    def server(request):
        return roots[request.id](request)

    async with make_warm(server, getattr(body, style), function, cache_size=2) as bench:
        for id in "xy":
            await hint(bench, id=id)
        assert body.lines == ["begun"]
        sent = len(bench.wire.sent)
        await hint(bench, id="z")
        assert body.lines == ["begun", "closed"]
        assert [*bench.worker._kept._kept] == ["y", "z"]
        assert {request.id for request in bench.wire.sent[sent:]} == {"z"}
        roots["x"].settle("a", 1)
        await hint(bench, version=1)
        assert body.lines == ["begun", "closed", "begun", 1]


@in_virtual_time
async def test_the_promises_that_all_passes_know_are_limited(monkeypatch):
    monkeypatch.setattr(kept_passes, "PROMISES_EACH", 3)
    closed = []

    def function(ctx, count):
        try:
            for _ in range(count):
                yield ctx.begin_rpc("bar")
            yield ctx.sleep(60)
        finally:
            closed.append(ctx.id)

    roots = {id: Sleepy(make_root("function", [2], id=id)) for id in "abc"}
    roots["d"] = Sleepy(make_root("function", [20], id="d"))
    async with make_warm(lambda request: roots[request.id](request), function) as bench:
        bench.worker._kept = type(bench.worker._kept)(4, bench.worker._close_kept)
        for id in "abcd":
            await hint(bench, id=id)
        assert closed == ["a", "b", "c", "d"]
        assert not bench.worker._kept
        assert bench.worker._kept._promises == 0


@pytest.mark.parametrize("settled", [False, True])
@in_virtual_time
async def test_a_stop_closes_what_sleeps_and_keeps_nothing_more(body, style, settled):
    server = Sleepy(make_root(style))
    async with make_warm(server, getattr(body, style)) as bench:
        await hint(bench)
        if settled:
            server.settle("a", 1)
        sent = bench.kinds()
        await bench.worker.stop(5)
        assert body.lines == ["begun", "closed"]
        assert not bench.worker._kept

    assert bench.kinds() == sent


@in_virtual_time
async def test_a_root_that_was_settled_meanwhile_closes_its_body(body, style):
    server = Sleepy(make_root(style))
    async with make_warm(server, getattr(body, style)) as bench:
        await hint(bench)
        server.overrules[TaskAcquire] = granted(replace(server.root, state="rejected_canceled"), 2)
        await hint(bench, version=1)
        assert body.lines == ["begun", "closed"]
        assert not bench.worker._kept

    assert [record.state for record in bench.settled] == ["rejected_canceled"]


@in_virtual_time
async def test_a_body_that_sleeps_goes_on_although_its_suspension_was_not_answered(body, style):
    """Whatever became of that: who is granted the next version was the last one to hold it."""
    server = Sleepy(make_root(style))
    server.overrules[TaskSuspend] = [UNREACHABLE]
    async with make_warm(server, getattr(body, style)) as bench:
        await hint(bench)
        assert len(bench.wire.of(TaskRelease)) == 1
        server.settle("a", 1)
        await hint(bench, version=1)
        assert body.lines == ["begun", 1]


@in_virtual_time
async def test_a_lease_that_is_lost_in_the_suspension_makes_it_begin_anew(body, style):
    server = Sleepy(make_root(style))
    server.overrules[TaskSuspend] = [refusal(409)]
    async with make_warm(server, getattr(body, style)) as bench:
        await hint(bench)
        server.settle("a", 1)
        await hint(bench, version=7)
        assert body.lines.count("begun") == 2
        assert body.lines.count("closed") == 1

    assert {fence.version for fence in bench.wire.of(TaskFence)} == {1, 8}


@in_virtual_time
async def test_a_lease_that_is_lost_after_it_woke_ends_it_in_silence(body, style):
    server = Sleepy(make_root(style))
    async with make_warm(server, getattr(body, style)) as bench:
        await hint(bench)
        server.settle("a", 1)
        server.overrules[TaskFence] = refusal(409)
        await hint(bench, version=1)
        assert body.lines == ["begun", 1, "closed"]
        assert not bench.worker._kept
        assert not bench.leases.are_held

    assert bench.kinds()[-1] == "task.fence"


@in_virtual_time
async def test_the_first_pass_that_began_before_its_grant_sleeps_as_well(body, style):
    root = make_root(style)
    server = Sleepy(root)
    async with make_warm(server, getattr(body, style)) as bench:
        bench.fresh_hint(root)
        await virtual_time.elapse(1)
        assert len(bench.worker._kept) == 1
        server.settle("a", 1)
        await hint(bench, version=1)
        assert body.lines == ["begun", 1]


@in_virtual_time
async def test_a_pass_that_sleeps_before_its_task_is_refused_is_closed():
    closed = []

    def named(ctx):
        try:
            yield Promise("somebody's")
        finally:
            closed.append(1)

    root = make_root("named")
    server = Sleepy(root)
    server.overrules[TaskAcquire] = refusal(409)
    async with make_warm(server, named) as bench:
        bench.fresh_hint(root)
        await virtual_time.elapse(1)
        assert closed == [1]
        assert not bench.worker._kept
        assert not bench.worker._drivers

    assert not bench.wire.of(TaskSuspend)


@in_virtual_time
async def test_tasks_of_a_body_that_move_while_it_sleeps_make_it_begin_anew():
    """They are no part of what is recorded; in a new pass they are where they were."""
    lines, gates = [], []

    async def helper(ctx):
        await gates[-1].wait()
        await ctx.rpc("bar")

    async def busy(ctx):
        lines.append("begun")
        gates.append(asyncio.Event())
        async with asyncio.TaskGroup() as group:
            helping = group.create_task(helper(ctx))
            a = await (await ctx.promise(id="a"))
            helping.cancel()
        return a

    server = Sleepy(make_root("busy"))
    async with make_warm(server, busy) as bench:
        await hint(bench)
        assert len(bench.worker._kept) == 1
        gates[0].set()
        await turns()
        server.settle("a", 1)
        await hint(bench, version=1)
        assert lines == ["begun", "begun"]

    assert CODEC.decode(bench.wire.of(TaskFulfill)[0].action.data.value) == 1


@in_virtual_time
async def test_a_child_that_somebody_has_settled_meanwhile_is_not_run_on():
    lines = []

    def child(ctx):
        yield (yield ctx.promise(id="a"))
        lines.append("went on")

    def parent(ctx):
        lines.append("begun")
        return (yield ctx.run(child))

    server = Sleepy(make_root("parent"))
    async with make_warm(server, parent) as bench:
        await hint(bench)
        server.settle("a", 1)
        server.settle("x.1", 9)
        await hint(bench, version=1)

    assert lines == ["begun", "begun"]
    assert CODEC.decode(bench.wire.of(TaskFulfill)[0].action.data.value) == 9


@in_virtual_time
async def test_a_preload_that_was_cut_is_made_up_for_by_the_next_suspension(body, style):
    """What is missing in it is told when the task cannot be suspended."""
    server = Sleepy(make_root(style))
    async with make_warm(server, getattr(body, style)) as bench:
        await hint(bench)
        server.settle("a", 1)
        task = TaskRecord(id="x", state="acquired", version=2, resumes=0)
        cut = TaskGranted(task=task, promise=server.root, preload=(), preload_cut=True)
        server.overrules |= {
            TaskAcquire: Answer(responses.OK, cut),
            TaskSuspend: [Answer(responses.REDIRECT, Redirected(preload=(server.promises["a"],)))],
        }
        await hint(bench, version=1)
        assert body.lines == ["begun", 1]


def looping(ctx, count):
    for _ in range(count):
        yield ctx.run(leaf)
    return (yield (yield ctx.promise(id="a")))


@pytest.mark.parametrize(("count", "preloads"), [(5, [True, True]), (60, [True, False])])
@in_virtual_time
async def test_a_long_history_is_not_asked_for_when_its_pass_goes_on(count, preloads):
    """A refused suspension tells what has woken it: with a preload a loop would be quadratic."""
    server = Sleepy(make_root("looping", [count]))
    async with make_warm(server, looping) as bench:
        await hint(bench)
        server.settle("a", 7)
        done = server.promises["a"]
        if not preloads[1]:
            server.overrules[TaskAcquire] = granted(server.root, 2)
            redirected = Answer(responses.REDIRECT, Redirected(preload=(done,)))
            server.overrules[TaskSuspend] = [redirected]
        await hint(bench, version=1)

    assert [acquire.preload for acquire in bench.wire.of(TaskAcquire)] == preloads
    assert CODEC.decode(bench.wire.of(TaskFulfill)[0].action.data.value) == 7
    assert len(bench.wire.of(TaskFence)) == 2 * count + 1


@in_virtual_time
async def test_what_was_acquired_without_its_history_and_begins_anew_asks_for_each_step(
    monkeypatch,
):
    """Nothing that is recorded is run again."""
    monkeypatch.setattr(kept_passes, "PROMISES_FEW", 1)
    runs = []

    def step(ctx):
        runs.append(ctx.id)

    def main(ctx):
        yield ctx.run(step)
        return (yield (yield ctx.promise(id="a")))

    server = Sleepy(make_root())
    async with make_warm(server, main) as bench:
        await hint(bench)
        server.settle("a", 7)
        server.overrules[TaskAcquire] = granted(server.root, 2)
        moved = CoroutineMoved(1, (), 0, "parked")  # by itself
        bench.worker._kept._kept["x"].driver._events.append(moved)
        await hint(bench, version=1)

    assert [acquire.preload for acquire in bench.wire.of(TaskAcquire)] == [True, False]
    assert runs == ["x.1"]
    assert CODEC.decode(bench.wire.of(TaskFulfill)[0].action.data.value) == 7


@in_virtual_time
async def test_a_body_whose_loop_has_ended_begins_anew(body):
    server = Sleepy(make_root("coroutine"))
    async with make_warm(server, body.coroutine) as bench:
        await hint(bench)
        (runner,) = bench.worker._kept._kept["x"].driver._runners.values()
        runner.loop = asyncio.new_event_loop()
        runner.loop.close()
        server.settle("a", 1)
        await hint(bench, version=1)
        assert body.lines == ["begun", "begun", 1]
        runner.close()


def test_a_record_of_no_promise_is_no_reason_to_begin_anew(world):
    def parent(ctx):
        yield ctx.rpc("bar")

    execution = world.start(parent)
    progress = execution.advance()
    execution.advance(world.carry_out_all(progress.effects))

    assert execution.may_sleep
    assert execution.may_wake_with([make_record("somebody else's", "resolved")])
    execution.close()
