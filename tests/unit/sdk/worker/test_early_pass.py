"""A body that starts while its task is being acquired: it saves time, and leaves no trace if not."""

import asyncio
import threading
from typing import Any

import pytest
from msgspec.structs import replace

from resonate_sdk.protocol import responses
from resonate_sdk.protocol.requests import (
    PromiseGet,
    TaskAcquire,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHeartbeat,
    TaskRelease,
)
from resonate_sdk.protocol.responses import Answer, Beaten
from resonate_sdk.worker.early_pass import HOLD_BACK_S
from resonate_sdk.worker.worker import HINTS_MAX
from tests.unit.sdk import virtual_time
from tests.unit.sdk.bench import (
    CODEC,
    LEASE_S,
    UNREACHABLE,
    NearWire,
    Server,
    in_virtual_time,
    leaf,
    main,
    make_bench,
    make_root,
    task,
    turns,
    waiting,
)
from tests.unit.sdk.wire import granted, make_record, promise, refusal

REAL_SECONDS_MAX = 10


class Runs:
    """Counts how often a body begins and ends."""

    def __init__(self):
        self.begun = 0
        self.closed = 0

    def short(self, ctx):
        self.begun += 1
        return 7

    def stepping(self, ctx):
        self.begun += 1
        try:
            return (yield ctx.run(leaf, 1)) + 1
        finally:
            self.closed += 1


@pytest.fixture
def runs():
    return Runs()


def result(fulfill):
    return CODEC.decode(fulfill.action.data.value)


# A short body


@in_virtual_time
async def test_the_result_of_a_short_body_travels_behind_its_acquisition(runs):
    """C9: at a version that is not granted yet only within the chain of the acquisition."""
    root = make_root("short")
    async with make_bench(Server(root), runs.short) as bench:
        slot = bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fulfill"]
    acquire, fulfill = bench.wire.sent
    assert (acquire.version, fulfill.version) == (0, 1)
    assert bench.wire.chains[0] is not None
    assert bench.wire.chains[0] == bench.wire.chains[1]
    assert result(fulfill) == 7
    assert slot.events == ["answered", "free"]
    assert [record.state for record in bench.settled] == ["resolved"]
    assert not bench.leases.holds("x")
    assert runs.begun == 1


@pytest.mark.parametrize(("name", "is_wanted"), [("short", False), ("stepping", True)])
@in_virtual_time
async def test_what_a_replay_needs_is_asked_for_only_if_there_may_be_one(runs, name, is_wanted):
    root = make_root(name)
    async with make_bench(Server(root), runs.short, runs.stepping) as bench:
        bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert bench.wire.sent[0].preload is is_wanted
    assert [record.state for record in bench.settled] == ["resolved"]


@in_virtual_time
async def test_hints_that_come_together_are_answered_together(runs):
    roots = [make_root("short", id=f"x{n}") for n in range(5)]
    by_id = {root.id: Server(root) for root in roots}
    async with make_bench(lambda request: by_id[request.id](request), runs.short) as bench:
        for root in roots:
            bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fulfill"] * 5
    assert len(set(bench.wire.sent_at_s)) == 1
    assert len(set(bench.wire.chains)) == 5


@pytest.mark.parametrize(
    ("others_max", "before"), [(HINTS_MAX, ["answered", "free"]), (0, [])], ids=["room", "none"]
)
@in_virtual_time
async def test_a_body_that_has_ended_takes_no_slot_while_its_result_is_written(
    runs, monkeypatch, others_max, before
):
    monkeypatch.setattr("resonate_sdk.worker.worker.HINTS_MAX", others_max)
    root, seen = make_root("short"), []

    def acquire(request):
        seen.extend(slot.events)
        return granted(root)

    server = Server(root)
    server.overrules[TaskAcquire] = acquire
    async with make_bench(server, runs.short) as bench:
        slot = bench.fresh_hint(root)
        await slot.is_left.wait()
        await turns()

    assert seen == before
    assert slot.events == ["answered", "free"]


@in_virtual_time
async def test_a_body_that_cannot_begin_is_rejected_in_the_same_way():
    def typed(ctx, number: int):
        return number

    root = make_root("typed", ["seven"])
    async with make_bench(Server(root), typed) as bench:
        bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fulfill"]
    assert bench.wire.sent[1].action.data.state == "rejected"


# The acquisition is refused


@pytest.mark.parametrize("status", [404, 409])
@pytest.mark.parametrize("func", ["short", "stepping"])
@in_virtual_time
async def test_a_refused_acquisition_leaves_no_trace(runs, func, status):
    root = make_root(func)
    server = Server(root)
    server.overrules[TaskAcquire] = refusal(status)
    async with make_bench(server, runs.short, runs.stepping) as bench:
        slot = bench.fresh_hint(root)
        await virtual_time.elapse(60)

    assert runs.begun == 1
    assert runs.closed == (func == "stepping")
    first, *others = zip(bench.wire.sent, bench.wire.chains, strict=True)
    assert isinstance(first[0], TaskAcquire)
    for request, chain in others:
        in_chain = isinstance(request, TaskFulfill) and chain == first[1] is not None
        assert in_chain or isinstance(request, TaskGet)
    assert bench.settled == bench.suspended == []
    assert slot.events == ["answered", "free"]
    assert not bench.worker._drivers


@pytest.mark.parametrize("reaction", [refusal(500), refusal(400), UNREACHABLE])
@pytest.mark.parametrize("func", ["short", "stepping"])
@in_virtual_time
async def test_without_a_grant_nothing_is_done(runs, func, reaction):
    root = make_root(func)
    server = Server(root)
    server.overrules[TaskAcquire] = reaction
    async with make_bench(server, runs.short, runs.stepping) as bench:
        slot = bench.fresh_hint(root)
        await virtual_time.elapse(60)

    assert set(bench.kinds()) <= {"task.acquire", "task.fulfill"}
    assert all(bench.wire.chains[1:])
    assert bench.settled == []
    assert slot.events == ["answered", "free"]


@pytest.mark.parametrize("func", ["short", "stepping"])
@in_virtual_time
async def test_a_refused_acquisition_that_had_worked_at_the_first_try_goes_on(runs, func):
    """C13: acquired by our own pid at the version we expect; the early pass is not used."""
    root = make_root(func)
    server = Server(root)
    server.overrules |= {
        TaskAcquire: refusal(409),
        TaskGet: task(version=1),
        PromiseGet: promise(root),
    }
    async with make_bench(server, runs.short, runs.stepping) as bench:
        bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert runs.begun == 2
    assert bench.wire.chains[-1] is None
    assert bench.wire.sent[-1].kind == "task.fulfill"
    assert bench.wire.sent[-1].version == 1
    assert len(bench.settled) == 1


# The server is busy, or the chain breaks in the middle


@in_virtual_time
async def test_a_server_that_is_not_ready_is_asked_for_the_task_alone(runs):
    root = make_root("short")
    server = Server(root)
    server.overrules[TaskAcquire] = [refusal(503)]
    async with make_bench(server, runs.short) as bench:
        slot = bench.fresh_hint(root)
        await virtual_time.elapse(60)

    assert bench.kinds() == ["task.acquire", "task.fulfill", "task.acquire", "task.fulfill"]
    assert bench.wire.chains[2:] == [None, None]
    assert slot.events == ["answered", "free"]
    assert len(bench.settled) == 1
    assert runs.begun == 1


@pytest.mark.parametrize("status", [409, 503])
@in_virtual_time
async def test_a_result_that_was_not_taken_with_the_acquisition_is_sent_again(runs, status):
    """A chain that was interrupted and carried out again is refused: the task may still be ours."""
    root = make_root("short")
    server = Server(root)
    server.overrules[TaskFulfill] = [refusal(status)]
    async with make_bench(server, runs.short) as bench:
        bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fulfill", "task.fulfill"]
    assert bench.wire.chains[2] is None
    assert len(bench.settled) == 1
    assert runs.begun == 1


@in_virtual_time
async def test_a_result_that_is_refused_ends_the_pass_in_silence(runs):
    root = make_root("short")
    server = Server(root)
    server.overrules[TaskFulfill] = refusal(409)
    async with make_bench(server, runs.short) as bench:
        slot = bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert bench.settled == []
    assert bench.suspended == ["x"]
    assert slot.events == ["answered", "free"]
    assert not bench.leases.holds("x")


@in_virtual_time
async def test_a_result_whose_answer_is_lost_gives_the_task_back(runs):
    root = make_root("short")
    server = Server(root)
    server.overrules[TaskFulfill] = UNREACHABLE
    async with make_bench(server, runs.short) as bench:
        bench.fresh_hint(root)
        await virtual_time.elapse(60)

    assert bench.kinds() == ["task.acquire", "task.fulfill", "task.release"]


# A body that needs the grant


@in_virtual_time
async def test_what_a_body_writes_waits_for_the_grant_and_carries_its_version(runs):
    root = make_root("stepping")
    server = Server(root)
    server.overrules[TaskAcquire] = lambda request: None
    async with make_bench(server, runs.stepping) as bench:
        slot = bench.fresh_hint(root)
        await virtual_time.elapse(1)
        assert runs.begun == 1
        assert bench.kinds() == ["task.acquire"]
        assert bench.wire.chains == [None]
        assert not bench.leases.holds("x")
        assert slot.events == []

        ((_, answering),) = bench.wire.unanswered
        answering.set_result(granted(root, version=41))
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fence", "task.fence", "task.fulfill"]
    assert {request.version for request in bench.wire.sent[1:]} == {41}
    assert bench.wire.chains == [None, "x.1", "x.1", None]
    assert runs.begun == runs.closed == 1
    assert slot.events == ["answered", "free"]


@in_virtual_time
async def test_a_body_that_suspends_does_so_with_the_grant():
    root = make_root("waiting")
    async with make_bench(Server(root), waiting) as bench:
        bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fence", "task.suspend"]
    assert bench.suspended == ["x"]


@in_virtual_time
async def test_an_acquisition_does_not_wait_for_a_body_that_waits_for_something_else():
    tries = []

    def flaky(ctx):
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("once more")
        return "at last"

    class Patient:
        def next(self, attempt):
            return 5.0

    root = make_root("flaky")
    async with make_bench(Server(root), flaky) as bench:
        environment = bench.worker._environment
        bench.worker._environment = replace(environment, retry_policy=Patient())
        bench.fresh_hint(root)
        await virtual_time.elapse(1)
        assert bench.kinds() == ["task.acquire"]
        assert bench.wire.sent_at_s[0] == pytest.approx(HOLD_BACK_S)
        assert bench.leases.holds("x")
        await virtual_time.elapse(10)

    assert bench.kinds() == ["task.acquire", "task.fulfill"]
    assert bench.wire.chains == [None, None]


@pytest.mark.parametrize("ending", ["granted", "refused"])
def test_an_acquisition_does_not_wait_for_a_slow_body(ending):
    """In real time, for a thread that is held up holds up virtual time as well."""
    asyncio.run(_run_a_slow_body(ending == "granted"))


async def _run_a_slow_body(is_granted):
    may_end, acquired = threading.Event(), asyncio.Event()

    def slow(ctx):
        may_end.wait(REAL_SECONDS_MAX)
        return 7

    def acquire(request):
        acquired.set()
        return granted(root) if is_granted else refusal(409)

    root = make_root("slow")
    server = Server(root)
    server.overrules[TaskAcquire] = acquire
    async with make_bench(server, slow) as bench:
        slot = bench.fresh_hint(root)
        async with asyncio.timeout(REAL_SECONDS_MAX):
            await acquired.wait()
            await turns()
            assert slot.events == ["answered"], "the slot is taken until the body has ended"
            assert bench.leases.holds("x") == is_granted
            assert not bench.wire.of(TaskFulfill)
            may_end.set()
            await slot.is_left.wait()

    assert bench.wire.chains == [None] * len(bench.wire.sent)
    assert len(bench.wire.of(TaskFulfill)) == is_granted
    assert len(bench.settled) == is_granted


# What was granted is not what was assumed


@in_virtual_time
async def test_a_grant_with_children_runs_the_body_again_from_there(runs):
    """Somebody has made a promise under an id that the body is going to use."""
    root = make_root("stepping")
    child = make_record("x.1", "resolved", value=CODEC.encode(41))
    server = Server(root)
    server.promises["x.1"] = child
    async with make_bench(server, runs.stepping) as bench:
        slot = bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fulfill"]
    assert result(bench.wire.sent[-1]) == 42
    assert bench.wire.sent[-1].version == 1
    assert runs.begun == runs.closed == 2
    assert slot.events == ["answered", "free"]
    assert not bench.leases.holds("x")
    assert not bench.worker._drivers


@in_virtual_time
async def test_a_grant_of_another_root_runs_the_body_again_with_that(runs):
    root = make_root("stepping")
    server = Server(replace(root, created_at_ms=5))
    async with make_bench(server, runs.stepping) as bench:
        bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fence", "task.fence", "task.fulfill"]
    assert runs.begun == runs.closed == 2


@in_virtual_time
async def test_a_root_that_is_settled_already_ends_the_body(runs):
    root = make_root("stepping")
    server = Server(replace(root, state="rejected_timedout"))
    async with make_bench(server, runs.stepping) as bench:
        slot = bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire"]
    assert runs.closed == 1
    assert [record.state for record in bench.settled] == ["rejected_timedout"]
    assert slot.events == ["answered", "free"]


# The present path


@in_virtual_time
async def test_with_a_server_inside_the_process_the_body_waits(runs):
    root = make_root("short")
    async with make_bench(Server(root), runs.short, wire=NearWire) as bench:
        bench.fresh_hint(root)
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fulfill"]
    assert set(bench.wire.chains) == {None}


@pytest.mark.parametrize("options", [{"overlap": False}, {"overlaps": False}])
@in_virtual_time
async def test_a_body_that_must_not_overlap_waits_for_the_grant(runs, options: Any):
    root = make_root("stepping")
    server = Server(root)
    server.overrules[TaskAcquire] = lambda request: None
    async with make_bench(server, runs.stepping, **options) as bench:
        bench.fresh_hint(root)
        await virtual_time.elapse(1)
        assert runs.begun == 0
        ((_, answering),) = bench.wire.unanswered
        answering.set_result(granted(root))
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fence", "task.fence", "task.fulfill"]
    assert bench.wire.chains == [None, "x.1", "x.1", None]
    assert runs.begun == 1


@in_virtual_time
async def test_a_hint_that_comes_twice_starts_one_body_early(runs):
    root = make_root("stepping")
    server = Server(root)
    server.overrules[TaskAcquire] = lambda request: None
    async with make_bench(server, runs.stepping) as bench:
        bench.fresh_hint(root)
        bench.fresh_hint(root)
        await virtual_time.elapse(1)
        assert runs.begun == 1
        for _, answering in bench.wire.unanswered:
            answering.set_result(refusal(404))
        await virtual_time.elapse(1)

    assert runs.begun == runs.closed == 1


# Trouble while it is early


@in_virtual_time
async def test_a_stopping_worker_gives_back_what_it_is_being_granted(runs):
    root = make_root("stepping")
    server = Server(root)
    server.overrules[TaskAcquire] = lambda request: None
    async with make_bench(server, runs.stepping) as bench:
        slot = bench.fresh_hint(root)
        await virtual_time.elapse(0.01)
        stopping = asyncio.ensure_future(bench.worker.stop(30))  # noqa: TID251  # awaited below
        await virtual_time.elapse(0.01)
        assert bench.kinds() == ["task.acquire"]
        ((_, answering),) = bench.wire.unanswered
        answering.set_result(granted(root))
        await stopping
        await virtual_time.elapse(1)

    assert bench.kinds()[-1] == "task.release"
    assert not bench.wire.of(TaskFulfill)
    assert runs.closed == 1
    assert slot.events == ["answered", "free"]


@in_virtual_time
async def test_a_worker_that_stops_without_an_answer_sends_nothing_more(runs):
    root = make_root("stepping")
    server = Server(root)
    server.overrules[TaskAcquire] = lambda request: None
    async with make_bench(server, runs.stepping) as bench:
        slot = bench.fresh_hint(root)
        await virtual_time.elapse(0.01)
        await bench.worker.stop(1)
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire"]
    assert slot.events == ["answered", "free"]


@in_virtual_time
async def test_a_lease_that_is_lost_ends_the_pass_that_began_early():
    closed = []

    def main(ctx):
        try:
            yield ctx.run(leaf)
        finally:
            closed.append(1)

    root = make_root("main")
    server = Server(root)
    server.overrules |= {
        TaskFence: lambda request: None,
        TaskHeartbeat: lambda request: Answer(responses.OK, Beaten(lost=request.tasks)),
    }
    async with make_bench(server, main) as bench:
        beating = asyncio.ensure_future(bench.leases.keep_beating())  # noqa: TID251  # cancelled below
        bench.fresh_hint(root)
        await virtual_time.elapse(LEASE_S)
        beating.cancel()
        await bench.worker.stop(0)

    assert closed == [1]
    assert bench.suspended == ["x"]
    assert not bench.wire.of(TaskRelease)
    assert not bench.wire.of(TaskFulfill)


@in_virtual_time
async def test_a_function_that_is_not_known_here_gives_the_task_back():
    root = make_root("unknown")
    async with make_bench(Server(root), main) as bench:
        slot = bench.fresh_hint(root)
        await virtual_time.elapse(60)

    assert bench.kinds() == ["task.acquire", "task.release"]
    assert slot.events == ["answered", "free"]
