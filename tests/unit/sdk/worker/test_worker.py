"""From a hint to the end of a pass: acquired, fenced, given back, and silent once it is lost."""

import asyncio
import logging
import threading
from dataclasses import dataclass
from functools import wraps

import pytest
from msgspec.structs import replace

from resonate_sdk.protocol import responses, tags as tag
from resonate_sdk.protocol.records import TaskRef, Value
from resonate_sdk.protocol.requests import (
    CreateAction,
    PromiseGet,
    PromiseSearch,
    SettleAction,
    TaskAcquire,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskRelease,
    TaskSuspend,
)
from resonate_sdk.protocol.responses import Answer, PromisePage, Redirected, TaskGranted
from resonate_sdk.worker.failures import delay_s
from resonate_sdk.worker.holder import Granted
from resonate_sdk.worker.worker import HINTS_MAX
from tests.unit.sdk import virtual_time
from tests.unit.sdk.bench import (
    CODEC,
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
from tests.unit.sdk.wire import fence_refusal, granted, make_record, promise, refusal

CREATE_AND_SETTLE = ("task.fence", "task.fence")  # in one message

# The good case


@pytest.mark.parametrize(
    ("others_max", "before"),
    [(HINTS_MAX, ["answered", "free"]), (0, ["answered"])],
    ids=["room", "none"],
)
@in_virtual_time
async def test_a_function_that_has_ended_takes_no_slot_while_its_result_is_written(
    monkeypatch, others_max, before
):
    monkeypatch.setattr("resonate_sdk.worker.worker.HINTS_MAX", others_max)
    server, seen = Server(make_root()), []

    def fulfill(request):
        seen.extend(slot.events)
        return promise(make_record("x", "resolved"))

    server.overrules[TaskFulfill] = fulfill
    async with make_bench(server, main, leaf) as bench:
        slot = bench.hint(version=6)  # which must be acquired before anything runs
        await virtual_time.elapse(1)

    assert seen == before
    assert slot.events == ["answered", "free"]


@in_virtual_time
async def test_a_hint_is_acquired_run_and_fulfilled():
    server = Server(make_root())
    async with make_bench(server, main, leaf) as bench:
        slot = bench.hint(version=6)
        await virtual_time.elapse(1)

    assert bench.kinds() == [
        "task.acquire",
        "task.fence",
        "task.fence",
        "task.fulfill",
    ]
    acquire, *_, fulfill = bench.wire.sent
    assert (acquire.id, acquire.version, acquire.pid, acquire.lease_ms) == ("x", 6, "me", 15_000)
    assert CODEC.decode(fulfill.action.data.value) == 2
    assert slot.events == ["answered", "free"]
    assert [record.state for record in bench.settled] == ["resolved"]
    assert not bench.leases.holds("x")


@in_virtual_time
async def test_without_a_branch_nothing_is_preloaded_so_a_recorded_step_is_not_run_again():
    """Roots that others make may have no branch: what the server knows of them is asked for."""
    runs = []

    def step(ctx):
        runs.append(ctx.id)

    def main(ctx):
        yield ctx.run(step)

    server = Server(make_root(tags={tag.TARGET: "amqp://any@g"}))
    settled = make_record("x.1", tags={tag.SCOPE: "local"}, state="resolved")
    server.promises["x.1"] = settled
    server.overrules[TaskAcquire] = granted(server.root, 2)
    async with make_bench(server, main) as bench:
        await bench.hint(version=1).is_left.wait()

    assert bench.kinds() == ["task.acquire", "task.fence", "task.fulfill"]
    assert runs == []


@in_virtual_time
async def test_what_had_no_room_in_a_preload_is_asked_for_in_pages_before_the_replay():
    runs = []

    def step(ctx):
        runs.append(ctx.id)

    def main(ctx):
        for _ in range(4):
            yield ctx.run(step)

    def page(request):
        assert (request.tags[tag.ORIGIN], request.limit) == ("x", 1_000)
        if tag.BRANCH not in request.tags:
            return found()
        return {"x.1": found(steps[1], cursor="x.2"), "x.2": found(steps[2])}[request.cursor]

    def found(*records, cursor=None):
        return Answer(responses.OK, PromisePage(promises=records, cursor=cursor))

    tags = {tag.SCOPE: "local", tag.ORIGIN: "x", tag.BRANCH: "x"}
    steps = [make_record(f"x.{n}", tags=tags, state="resolved") for n in (1, 2, 3)]
    server = Server(make_root())
    server.overrules[TaskAcquire] = granted(server.root, 2, steps[:1], is_cut=True)
    server.overrules[PromiseSearch] = page
    async with make_bench(server, main) as bench:
        await bench.hint(version=1).is_left.wait()

    searches = ["promise.search"] * 3
    assert bench.kinds() == ["task.acquire", *searches, "task.fence", "task.fence", "task.fulfill"]
    assert runs == ["x.4"]


@in_virtual_time
async def test_a_worker_that_stops_asks_for_no_more_pages():
    def main(ctx):
        yield ctx.sleep(1)

    step = make_record("x.2", tags={tag.SCOPE: "local"}, state="resolved")
    server = Server(make_root())
    server.overrules[TaskAcquire] = granted(server.root, 2, [make_record("x.1")], is_cut=True)
    server.overrules[PromiseSearch] = lambda request: None
    async with make_bench(server, main) as bench, asyncio.TaskGroup() as tasks:
        bench.hint(version=1)
        await virtual_time.elapse(1)
        ((_, answering),) = bench.wire.unanswered
        tasks.create_task(bench.worker.stop(10))
        await virtual_time.elapse(1)
        answering.set_result(Answer(responses.OK, PromisePage(promises=(step,), cursor="x.2")))

    assert bench.kinds() == ["task.acquire", "promise.search", "task.release"]


@in_virtual_time
async def test_a_server_without_searches_is_asked_for_the_rest_of_a_preload_one_by_one():
    def step(ctx):
        raise AssertionError(ctx.id)

    def main(ctx):
        yield ctx.run(step)
        yield ctx.run(step)

    tags = {tag.SCOPE: "local", tag.ORIGIN: "x", tag.BRANCH: "x"}
    steps = [make_record(f"x.{n}", tags=tags, state="resolved") for n in (1, 2)]
    server = Server(make_root())
    server.promises["x.2"] = steps[1]
    server.overrules[TaskAcquire] = granted(server.root, 2, steps[:1], is_cut=True)
    server.overrules[PromiseSearch] = refusal(501)
    async with make_bench(server, main) as bench:
        await bench.hint(version=1).is_left.wait()

    assert bench.kinds() == ["task.acquire", "promise.search", "task.fence", "task.fulfill"]


@in_virtual_time
async def test_every_write_carries_the_version_of_the_grant_not_that_of_the_hint():
    """C9: nobody but the acquirer knows it."""
    server = Server(make_root())
    server.overrules[TaskAcquire] = granted(make_root(), version=41)
    async with make_bench(server, main, leaf) as bench:
        bench.hint(version=3)
        await virtual_time.elapse(1)

    assert {request.version for request in bench.wire.sent[1:]} == {41}


@in_virtual_time
async def test_nothing_that_needs_the_version_is_sent_before_the_grant():
    """C9: no guessed version outside of a chain."""
    server = Server(make_root())
    server.overrules[TaskAcquire] = lambda request: None
    async with make_bench(server, main, leaf) as bench:
        bench.hint()
        await virtual_time.elapse(1)
        assert bench.kinds() == ["task.acquire"]
        assert bench.wire.sent[0].version == 0
        ((_, answering),) = bench.wire.unanswered
        answering.set_result(refusal(404))


@pytest.mark.parametrize(("taken", "again"), [(0, ["create", "settle"]), (1, ["settle"])])
@in_virtual_time
async def test_a_short_step_is_written_in_a_chain_and_what_was_not_taken_is_asked_again(
    taken, again
):
    """C11: the step is not run again because the server was busy."""
    ran = []

    def step(ctx):
        ran.append(1)
        return 7

    def workflow(ctx):
        return (yield ctx.run(step))

    server = Server(make_root("workflow"))
    server.overrules[TaskFence] = [*[server._react] * taken, refusal(503)]
    async with make_bench(server, workflow, step) as bench:
        bench.hint()
        await virtual_time.elapse(10)

    fences = bench.wire.of(TaskFence)
    kinds = [fence.action.data.kind.removeprefix("promise.") for fence in fences]
    assert kinds == ["create", "settle", *again]
    assert bench.wire.chains == [None, "x.1", "x.1", *[None] * len(again), None]
    assert bench.kinds()[-1] == "task.fulfill"
    assert ran == [1]


@in_virtual_time
async def test_a_short_step_whose_chain_finds_the_lease_lost_ends_its_pass():
    def step(ctx):
        return 7

    def workflow(ctx):
        return (yield ctx.run(step))

    server = Server(make_root("workflow"))
    server.overrules[TaskFence] = refusal(409)
    async with make_bench(server, workflow, step) as bench:
        bench.hint()
        await virtual_time.elapse(10)

    assert bench.kinds() == ["task.acquire", "task.fence", "task.fence"]
    assert bench.suspended == ["x"]


@in_virtual_time
async def test_the_lease_is_kept_while_the_pass_goes_on():
    held = []

    def long(ctx):
        held.append(bench.leases.holds("x"))

    async with make_bench(Server(make_root("long")), long) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    assert held == [True]
    assert not bench.leases.holds("x")


# Suspension


@in_virtual_time
async def test_a_pass_that_cannot_go_on_suspends_its_task():
    async with make_bench(Server(make_root("waiting")), waiting) as bench:
        slot = bench.hint()
        await virtual_time.elapse(1)

    (suspend,) = bench.wire.of(TaskSuspend)
    assert [action.data.awaited for action in suspend.actions] == ["answer"]
    assert {action.data.awaiter for action in suspend.actions} == {"x"}
    assert bench.suspended == ["x"]
    assert slot.events == ["answered", "free"]
    assert not bench.leases.holds("x")


@in_virtual_time
async def test_a_redirect_replays_at_once_with_what_has_settled():
    server = Server(make_root("waiting"))
    done = make_record("answer", "resolved", value=CODEC.encode(7))
    server.overrules[TaskSuspend] = Answer(responses.REDIRECT, Redirected(preload=(done,)))
    async with make_bench(server, waiting) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fence", "task.suspend", "task.fulfill"]
    assert CODEC.decode(bench.wire.sent[-1].action.data.value) == 7


@in_virtual_time
async def test_a_redirect_brings_all_that_has_settled_not_only_what_was_awaited():
    """One replay per child would make a fan-out quadratic."""
    count = 30

    def fan_out(ctx):
        promises = []
        for _ in range(count):
            promises.append((yield ctx.begin_rpc("bar")))
        total = 0
        for child in promises:
            total += yield child
        return total

    def redirect(request):
        awaited = {action.data.awaited for action in request.actions}
        children = [
            replace(record, state="resolved", value=CODEC.encode(1))
            for record in server.promises.values()
            if request.preload or record.id in awaited
        ]
        return Answer(responses.REDIRECT, Redirected(preload=tuple(children)))

    server = Server(make_root("fan_out"))
    server.overrules[TaskSuspend] = redirect
    async with make_bench(server, fan_out) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    assert CODEC.decode(bench.wire.sent[-1].action.data.value) == count
    assert len(bench.wire.of(TaskSuspend)) == 1


@in_virtual_time
async def test_only_what_the_server_has_told_counts_as_known_and_what_is_cut_does_not():
    """Otherwise a join would learn of its children one by one."""

    def join(ctx):
        begun = []
        for _ in range(4):
            begun.append((yield ctx.begin_rpc("bar")))
        yield ctx.run(leaf)  # it settles later than children that are not known to have settled
        results = []
        for child in begun:
            results.append((yield child))
        return results

    def told(id, settled_at_ms):
        record = replace(server.promises[id], state="resolved", value=CODEC.encode(1))
        return replace(record, settled_at_ms=settled_at_ms)

    def redirect(request):
        since_ms.append(request.settled_since_ms)
        (action,) = request.actions
        remote = [r.id for r in server.promises.values() if tag.TARGET in r.tags]
        first, second, third, fourth = remote
        looks = {
            first: Redirected(preload=(told(first, 900), told(second, 500)), preload_cut=True),
            third: Redirected(preload=(told(third, 800), told(fourth, 850))),
        }
        return Answer(responses.REDIRECT, looks[action.data.awaited])

    since_ms = []
    server = Server(make_root("join"))
    server.overrules[TaskSuspend] = redirect
    async with make_bench(server, join, leaf) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    assert since_ms == [0, 500]
    assert CODEC.decode(bench.wire.sent[-1].action.data.value) == [1, 1, 1, 1]


@in_virtual_time
async def test_a_grace_that_ends_after_its_pass_does_not_disturb_the_next_one():
    pauses_s = [0.005, 0.1]

    async def inner(ctx):
        return await (await ctx.promise(id="answer"))

    async def main(ctx):
        begun = await ctx.begin_run(inner)
        await virtual_time.elapse(pauses_s.pop(0))  # meanwhile the inner one waits: a grace begins
        return await begun

    server = Server(make_root())
    done = make_record("answer", "resolved", value=CODEC.encode(7))
    server.overrules[TaskSuspend] = Answer(responses.REDIRECT, Redirected(preload=(done,)))
    async with make_bench(server, main, inner) as bench:
        bench.worker._coroutines.adopt_running_loop()
        bench.hint()
        await virtual_time.elapse(10)
        bench.worker._coroutines.stop()

    kinds = bench.kinds()
    assert kinds.count("task.suspend") == 1
    assert "task.release" not in kinds
    assert kinds[-1] == "task.fulfill"
    assert CODEC.decode(bench.wire.sent[-1].action.data.value) == 7


@pytest.mark.parametrize(("is_more_begun", "preload"), [(True, True), (False, False)])
@in_virtual_time
async def test_only_a_suspension_that_leaves_something_out_asks_for_a_preload(
    is_more_begun, preload
):
    """The server looks for it, which costs as much as all the children there are."""

    def main(ctx):
        if is_more_begun:
            yield ctx.begin_rpc("bar")
        yield ctx.rpc("bar")

    async with make_bench(Server(make_root()), main) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    (suspend,) = bench.wire.of(TaskSuspend)
    assert suspend.preload is preload


@in_virtual_time
async def test_a_refused_suspension_does_not_run_the_function_in_circles():
    """For instance 422: what the body waits for does not exist, or nobody may wait for it."""
    runs = []

    def impatient(ctx):
        runs.append(1)
        return (yield (yield ctx.promise(id="answer")))

    server = Server(make_root("impatient"))
    server.overrules[TaskSuspend] = refusal(422, "no promise 'answer'")
    async with make_bench(server, impatient) as bench:
        for n in range(100):  # the server sends a hint for every task that is given back
            if len(bench.wire.of(TaskRelease)) < n:
                break
            bench.hint(version=n)
            await virtual_time.elapse(0.01)
        assert len(runs) <= 4, "given back ever later, and rejected in the end"
        await _let_end(bench)


async def _let_end(bench):
    """Whatever still waits ends now."""
    await bench.worker.stop(0)
    await virtual_time.elapse(60)


# Refused and repeated acquisitions


@pytest.mark.parametrize("reaction", [refusal(404), refusal(500), refusal(400), UNREACHABLE])
@in_virtual_time
async def test_a_hint_whose_task_is_not_granted_is_dropped(reaction):
    server = Server(make_root())
    server.overrules[TaskAcquire] = reaction
    async with make_bench(server, main, leaf) as bench:
        slot = bench.hint()
        await virtual_time.elapse(60)

    assert set(bench.kinds()) <= {"task.acquire", "task.get"}
    assert slot.events == ["answered", "free"]


@in_virtual_time
async def test_a_refused_acquisition_that_had_worked_at_the_first_try_goes_on():
    """C13: acquired by our own pid at the version we expect."""
    server = Server(make_root())
    server.overrules |= {
        TaskAcquire: refusal(409),
        TaskGet: task(version=4),
        PromiseGet: promise(make_root()),
    }
    async with make_bench(server, main, leaf) as bench:
        bench.hint(version=3)
        await virtual_time.elapse(1)

    assert bench.kinds()[-1] == "task.fulfill"
    assert {request.version for request in bench.wire.of(TaskFence)} == {4}


@in_virtual_time
async def test_what_was_acquired_at_the_first_try_has_no_preload_so_no_recorded_step_is_run_again():
    runs = []

    def step(ctx):
        runs.append(ctx.id)

    def main(ctx):
        yield ctx.run(step)

    server = Server(make_root())
    settled = make_record("x.1", tags={tag.SCOPE: "local"}, state="resolved")
    server.promises["x.1"] = settled
    server.overrules |= {TaskAcquire: refusal(409), TaskGet: task(version=4)}
    async with make_bench(server, main) as bench:
        await bench.hint(version=3).is_left.wait()
        await virtual_time.elapse(1)

    assert bench.kinds()[-2:] == ["task.fence", "task.fulfill"]
    assert runs == []


@pytest.mark.parametrize("is_preloaded", [True, False])
@pytest.mark.parametrize("is_cut", [True, False])
@pytest.mark.parametrize("tags", [{tag.BRANCH: "x"}, {}], ids=["branch", "none"])
def test_a_preload_is_complete_if_it_was_asked_for_not_cut_and_found_by_the_branch(
    is_preloaded, is_cut, tags
):
    answer = granted(make_root(tags=tags), 2)
    assert isinstance(answer.data, TaskGranted)

    found = Granted.by(replace(answer.data, preload_cut=is_cut), is_preloaded=is_preloaded)

    assert found.is_complete == (is_preloaded and not is_cut and bool(tags))


@pytest.mark.parametrize(
    "found",
    [
        task(pid="another", version=4),
        task(version=5),
        task(version=3),
        task(state="pending", version=4, pid=None),
        task(state="suspended", version=4, pid=None),
        task(state="fulfilled", version=4, pid=None),
        refusal(404),
        refusal(500),
        UNREACHABLE,
    ],
)
@in_virtual_time
async def test_a_refused_acquisition_that_is_not_ours_is_dropped(found):
    server = Server(make_root())
    server.overrules |= {TaskAcquire: refusal(409), TaskGet: found}
    async with make_bench(server, main, leaf) as bench:
        slot = bench.hint(version=3)
        await virtual_time.elapse(60)

    assert bench.wire.of(TaskFence) == []
    assert slot.events[-1] == "free"


@in_virtual_time
async def test_a_stale_hint_beside_a_good_one_does_not_start_a_second_pass():
    """What the good one has acquired must not be taken for the stale one's first try."""
    runs, may_end = [], threading.Event()

    def once(ctx):
        runs.append(1)
        assert may_end.wait(30)

    server = Server(make_root("once"))
    server.overrules[TaskAcquire] = lambda request: (
        granted(make_root("once"), 8) if request.version == 7 else refusal(409)
    )
    server.overrules[TaskGet] = lambda _: None
    async with make_bench(server, once) as bench:
        bench.hint(version=3)  # sent again, or late
        await turns()
        bench.hint(version=7)
        await turns()
        for _, answering in bench.wire.unanswered:
            answering.set_result(task(version=8))
        await turns()
        may_end.set()
        await virtual_time.elapse(1)

    assert runs == [1]


@in_virtual_time
async def test_a_hint_that_comes_twice_starts_one_pass():
    runs = []

    def once(ctx):
        runs.append(1)

    server = Server(make_root("once"))
    server.overrules |= {
        TaskAcquire: [granted(make_root("once")), refusal(409)],
        TaskGet: task(),
        PromiseGet: promise(make_root("once")),
    }
    async with make_bench(server, once) as bench:
        bench.hint()
        bench.hint()
        await virtual_time.elapse(1)

    assert runs == [1]


@in_virtual_time
async def test_a_grant_that_is_told_twice_starts_one_pass():
    runs, may_end = [], threading.Event()

    def once(ctx):
        runs.append(1)
        assert may_end.wait(30)

    root = make_root("once")
    grant = Granted(task=TaskRef(id="x", version=1), root=root, preload=(), is_complete=True)
    async with make_bench(Server(root), once) as bench:
        bench.worker.run_granted(grant)
        bench.worker.run_granted(grant)
        await turns()
        may_end.set()
        await virtual_time.elapse(1)

    assert runs == [1]
    assert bench.kinds() == ["task.fulfill"]


@in_virtual_time
async def test_a_root_that_is_settled_already_is_not_run():
    runs = []

    def once(ctx):
        runs.append(1)

    server = Server(make_root("once", state="rejected_timedout"))
    async with make_bench(server, once) as bench:
        slot = bench.hint()
        await virtual_time.elapse(1)

    assert runs == []
    assert slot.events[-1] == "free"


# The lease is lost


@pytest.mark.parametrize("status", [409, 404])
@in_virtual_time
async def test_a_refused_fence_ends_the_pass_in_silence(status, caplog):
    server = Server(make_root())
    server.overrules[TaskFence] = refusal(status)
    with caplog.at_level(logging.WARNING):
        async with make_bench(server, main, leaf) as bench:
            slot = bench.hint()
            await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", *CREATE_AND_SETTLE]
    assert slot.events[-1] == "free"
    assert not bench.leases.holds("x")
    assert caplog.records == []


@pytest.mark.parametrize("request_type", [TaskFulfill, TaskSuspend, TaskRelease])
@in_virtual_time
async def test_a_refusal_at_the_end_is_taken_in_silence(request_type, caplog):
    func = "waiting" if request_type is TaskSuspend else "main"
    server = Server(make_root(func))
    server.overrules[request_type] = refusal(409)
    if request_type is TaskRelease:
        server.overrules[TaskFence] = UNREACHABLE
    with caplog.at_level(logging.WARNING):
        async with make_bench(server, main, waiting, leaf) as bench:
            bench.hint()
            await virtual_time.elapse(60)

    assert bench.wire.sent[-1].kind == request_type.kind
    told = [record.getMessage() for record in caplog.records]
    assert [text for text in told if "cannot go on here" not in text] == []


@in_virtual_time
async def test_a_lease_that_the_heartbeat_finds_lost_ends_the_pass_and_closes_its_body():
    closed = []

    def main(ctx):
        try:
            yield ctx.run(slow)
            yield ctx.run(slow)
        finally:
            closed.append(1)

    def slow(ctx):
        if ctx.id == "x.1":
            loop.call_soon_threadsafe(bench.leases._held["x", 1])

    loop = asyncio.get_running_loop()
    async with make_bench(Server(make_root()), main) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    assert closed == [1]
    assert "task.fulfill" not in bench.kinds()
    assert "task.release" not in bench.kinds()
    assert bench.suspended == ["x"]


# Trouble with the server


@pytest.mark.parametrize("reaction", [UNREACHABLE, refusal(500), refusal(400)])
@in_virtual_time
async def test_trouble_in_the_middle_gives_the_task_back_and_settles_nothing(reaction):
    seen = []

    def main(ctx):
        try:
            yield ctx.run(leaf)
        except Exception as error:
            seen.append(error)
            raise

    server = Server(make_root())
    server.overrules[TaskFence] = reaction
    async with make_bench(server, main) as bench:
        slot = bench.hint()
        await virtual_time.elapse(60)
        await _let_end(bench)

    assert bench.kinds() == ["task.acquire", *CREATE_AND_SETTLE, "task.release"]
    assert seen == []
    assert slot.events[-1] == "free"


@pytest.mark.parametrize("reaction", [UNREACHABLE, refusal(500)])
@pytest.mark.parametrize("where", ["settlement nobody awaits", "suspension", "fulfillment"])
@in_virtual_time
async def test_trouble_at_the_end_of_something_gives_the_task_back_as_well(where, reaction):
    def workflow(ctx):
        yield ctx.begin_run(leaf)
        if where == "suspension":
            yield (yield ctx.promise(id="answer"))

    def settles(request):
        is_settlement = isinstance(request.action, SettleAction)
        return reaction if is_settlement else server._react(request)

    server = Server(make_root("workflow"))
    server.overrules = {
        "settlement nobody awaits": {TaskFence: settles},
        "suspension": {TaskSuspend: reaction},
        "fulfillment": {TaskFulfill: reaction},
    }[where]
    async with make_bench(server, workflow) as bench:
        slot = bench.hint()
        await virtual_time.elapse(60)
        await _let_end(bench)

    assert bench.kinds()[-1] == "task.release"
    assert bench.kinds().count("task.release") == 1
    assert not bench.leases.holds("x")
    assert slot.events[-1] == "free"


@pytest.mark.parametrize("status", [400, 404])
@in_virtual_time
async def test_a_refused_action_inside_a_fence_that_held_gives_the_task_back(status):
    server = Server(make_root())
    server.overrules[TaskFence] = lambda request: fence_refusal(request, status)
    async with make_bench(server, main, leaf) as bench:
        bench.hint()
        await virtual_time.elapse(60)
        await _let_end(bench)

    assert bench.kinds() == ["task.acquire", *CREATE_AND_SETTLE, "task.release"]


@pytest.mark.parametrize("stops", [False, True])
@in_virtual_time
async def test_trouble_in_two_places_at_once_gives_the_task_back_as_well(stops):
    def main(ctx):
        for _ in range(5):
            yield ctx.begin_run(waiting)

    server = Server(make_root())
    server.overrules[TaskFence] = lambda request: (
        refusal(500) if len(bench.wire.of(TaskFence)) > 3 else server._react(request)
    )
    async with make_bench(server, main) as bench:
        bench.hint()
        await virtual_time.elapse(0.5)
        if stops:
            await bench.worker.stop(30)
        await virtual_time.elapse(60)

    assert bench.kinds().count("task.release") == 1
    assert bench.kinds()[-1] == "task.release"


@in_virtual_time
async def test_after_the_first_trouble_nothing_durable_is_done_any_more():
    """The breaker: also when the body catches whatever reaches it."""

    def stubborn(ctx):
        for _ in range(5):
            try:
                yield ctx.run(leaf)
            except BaseException:  # noqa: BLE001  # that is the point
                pass

    server = Server(make_root("stubborn"))
    server.overrules[TaskFence] = UNREACHABLE
    async with make_bench(server, stubborn) as bench:
        bench.hint()
        await virtual_time.elapse(60)
        await _let_end(bench)

    assert len(bench.wire.of(TaskFence)) == len(CREATE_AND_SETTLE)


@in_virtual_time
async def test_a_release_that_fails_does_not_matter():
    server = Server(make_root())
    server.overrules |= {TaskFence: UNREACHABLE, TaskRelease: UNREACHABLE}
    async with make_bench(server, main, leaf) as bench:
        slot = bench.hint()
        await virtual_time.elapse(60)
        await _let_end(bench)

    assert slot.events[-1] == "free"
    assert not bench.leases.holds("x")


# What cannot ever run, and what cannot run here


@in_virtual_time
async def test_arguments_that_do_not_fit_reject_the_promise():
    def typed(ctx, number: int):
        return number

    async with make_bench(Server(make_root("typed", ["seven"])), typed) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    (fulfill,) = bench.wire.of(TaskFulfill)
    data = CODEC.decode(fulfill.action.data.value)
    assert fulfill.action.data.state == "rejected"
    assert data["name"] == "DecodeError"
    assert "argument 'number' of typed" in data["message"]


@pytest.mark.parametrize(
    "param", [{"data": "not base64"}, {"data": "W10="}, {"data": "eyJmdW5jIjogMX0="}]
)
@in_virtual_time
async def test_a_parameter_that_is_no_call_rejects_the_promise(param):
    async with make_bench(Server(make_root(param=Value(**param))), main) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    (fulfill,) = bench.wire.of(TaskFulfill)
    assert CODEC.decode(fulfill.action.data.value)["name"] == "DecodeError"


@in_virtual_time
async def test_an_unknown_function_is_given_back_ever_later_and_halted_in_the_end(caplog):
    server = Server(make_root("unknown"))
    async with make_bench(server, main) as bench:
        held_for = []
        for version in range(12):
            if bench.wire.of(TaskHalt):
                break
            began = asyncio.get_running_loop().time()
            await bench.hint(version=version).is_left.wait()
            held_for.append(asyncio.get_running_loop().time() - began)

    delays = [delay_s("x", attempts) for attempts in range(1, 5)]
    assert held_for[:4] == pytest.approx(delays, abs=0.3)
    assert len(held_for) == 10
    assert "function unknown is not registered here" in caplog.text
    assert bench.suspended[-1] == "x"


@in_virtual_time
async def test_trouble_of_the_server_halts_nothing():
    server = Server(make_root())
    server.overrules[TaskFence] = refusal(500)
    async with make_bench(server, main, leaf) as bench:
        for version in range(12):
            await bench.hint(version=version).is_left.wait()

    assert len(bench.wire.of(TaskRelease)) == 12
    assert bench.wire.of(TaskHalt) == []


@in_virtual_time
async def test_a_task_that_goes_on_in_between_is_not_halted():
    def waits(ctx):
        yield ctx.promise(id="a")
        yield ctx.sleep(60)

    server = Server(make_root("unknown"))
    async with make_bench(server, waits) as bench:
        for version in range(18):
            server.root = make_root("waits" if version % 9 == 8 else "unknown")
            await bench.hint(version=version).is_left.wait()

    assert len(bench.wire.of(TaskSuspend)) == 2
    assert bench.wire.of(TaskHalt) == []


@in_virtual_time
async def test_a_task_that_cannot_be_halted_is_given_back():
    server = Server(make_root("unknown"))
    server.overrules[TaskHalt] = refusal(409)
    async with make_bench(server, main) as bench:
        for version in range(11):
            await bench.hint(version=version).is_left.wait()

    assert len(bench.wire.of(TaskRelease)) == 11


def recorded_as(function):
    server = Server(make_root())
    record = make_record("x.1", tags={tag.FINGERPRINT: function, tag.SCOPE: "local"})
    server.promises["x.1"] = record
    return server


@in_virtual_time
async def test_code_that_does_something_else_than_recorded_halts_its_task(caplog):
    async with make_bench(recorded_as("call:other"), main, leaf) as bench:
        await bench.hint().is_left.wait()

    assert bench.kinds() == ["task.acquire", "task.halt"]
    assert "'x.1' is recorded as call:other, but the code at" in caplog.text


@in_virtual_time
async def test_code_that_does_something_else_rejects_its_promise_if_that_is_wanted():
    server = recorded_as("call:other")
    async with make_bench(server, main, leaf, on_nondeterminism="reject") as bench:
        await bench.hint().is_left.wait()

    fulfill = bench.wire.sent[-1]
    assert isinstance(fulfill, TaskFulfill)
    assert CODEC.decode(fulfill.settlement.value)["name"] == "NondeterminismError"


@in_virtual_time
async def test_a_function_that_becomes_known_is_run():
    def late(ctx):
        return "known"

    server = Server(make_root("late"))
    async with make_bench(server, main) as bench:
        bench.hint()
        await virtual_time.elapse(2)
        bench.registry.add(late)
        bench.hint(version=1)
        await virtual_time.elapse(2)

    assert bench.wire.sent[-1].kind == "task.fulfill"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
@in_virtual_time
async def test_what_is_no_exception_gives_the_task_back_and_does_not_run_in_circles(error):
    runs = []

    def leaving(ctx):
        runs.append(1)
        raise error

    async with make_bench(Server(make_root("leaving")), leaving) as bench:
        for n in range(100):  # the server sends a hint for every task that is given back
            if len(bench.wire.of(TaskRelease)) < n:
                break
            bench.hint(version=n)
            await virtual_time.elapse(0.01)
        assert not bench.wire.of(TaskFulfill)
        assert len(runs) <= 4, "it stops the worker, or is given back ever later"
        await _let_end(bench)


@in_virtual_time
async def test_trouble_of_our_own_gives_the_task_back_as_well(caplog):
    """Whatever goes wrong in the machinery: the task must not hang until its lease runs out."""

    class Broken:
        def next(self, attempt):
            raise RuntimeError("a policy of the user's that fails")

    def flaky(ctx):
        raise ValueError("x")

    def main(ctx):
        yield ctx.run(flaky).options(retry_policy=Broken())

    async with make_bench(Server(make_root()), main) as bench:
        bench.hint()
        await virtual_time.elapse(60)
        await _let_end(bench)

    assert bench.kinds()[-1] in ("task.release", "task.fulfill")


# Threads


@in_virtual_time
async def test_no_line_of_the_users_runs_on_the_event_loop():
    threads = {}

    def note(what):
        threads[what] = threading.current_thread()

    @dataclass
    class Order:
        number: int

        def __post_init__(self):
            note("argument")

    def decorated(func):
        @wraps(func)
        def wrapper(ctx, *args):
            note("decorator")
            return func(ctx, *args)

        return wrapper

    @decorated
    def main(ctx, order: Order):
        note("generator")
        try:
            yield ctx.run(leaf)
            yield (yield ctx.promise(id="answer"))
        finally:
            note("finally")

    def leaf(ctx):
        note("function")

    root = make_root("main", [{"number": 7}])
    async with make_bench(Server(root), main) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    loop_thread = threading.current_thread()
    assert threads.keys() == {"argument", "decorator", "generator", "finally", "function"}
    assert [what for what, thread in threads.items() if thread is loop_thread] == []


# A server so near that nothing is waited for


@in_virtual_time
async def test_steps_are_written_by_the_thread_that_runs_them():
    async with make_bench(Server(make_root()), main, wire=NearWire) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.fence", "task.fence", "task.fulfill"]
    assert CODEC.decode(bench.wire.sent[-1].action.data.value) == 2
    (thread,) = bench.wire.threads
    assert thread is not threading.current_thread()


@in_virtual_time
async def test_a_step_begins_after_the_one_before_is_written():
    written = []

    def step(ctx):
        written.append([r.action.data.id for r in bench.wire.of(TaskFence)])

    def main(ctx):
        yield ctx.run(step)
        yield ctx.run(step)

    async with make_bench(Server(make_root()), main, wire=NearWire) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    assert written == [[], ["x.1", "x.1"]]


@in_virtual_time
async def test_functions_beside_each_other_are_written_by_threads_as_well():
    def main(ctx):
        children = []
        for _ in range(5):
            children.append((yield ctx.begin_run(leaf)))
        yield from children

    async with make_bench(Server(make_root()), main, wire=NearWire) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", *["task.fence"] * 10, "task.fulfill"]
    assert bench.wire.near == bench.wire.of(TaskFence)


@in_virtual_time
async def test_the_end_of_a_function_does_not_overtake_a_creation_that_the_loop_has_sent():
    loop, sent = asyncio.get_running_loop(), threading.Event()

    def look_twice():
        """As it is done while a function takes long."""
        (driver,) = bench.worker._drivers
        driver._look_at_unsent()
        driver._look_at_unsent()
        loop.call_soon(sent.set)  # behind what that has begun

    def long(ctx):
        loop.call_soon_threadsafe(look_twice)
        assert sent.wait(30)

    def main(ctx):
        yield ctx.run(long)
        yield ctx.run(leaf)

    def carry_out_and_be_silent(request):
        server._react(request)

    server = Server(make_root())
    server.overrules[TaskFence] = [carry_out_and_be_silent]
    async with make_bench(server, main, wire=NearWire) as bench:
        bench.hint()
        await virtual_time.elapse(1)

        creation, end, *_ = bench.wire.of(TaskFence)
        assert [type(fence.action) for fence in (creation, end)] == [CreateAction, SettleAction]
        assert not bench.wire.near  # nor anything behind it
        for request, future in bench.wire.unanswered:
            future.set_result(server._react(request))
        await virtual_time.elapse(1)

    assert bench.wire.sent[-1].kind == "task.fulfill"


@in_virtual_time
async def test_a_lease_that_is_lost_ends_the_pass_in_silence_there_as_well():
    server = Server(make_root())
    server.overrules[TaskFence] = refusal(409)
    async with make_bench(server, main, wire=NearWire) as bench:
        bench.hint()
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", *CREATE_AND_SETTLE]
    assert not bench.leases.holds("x")


@in_virtual_time
async def test_a_stop_is_noticed_between_two_steps_there_as_well():
    enough, loop = asyncio.Event(), asyncio.get_running_loop()

    def endless(ctx):
        while True:
            yield ctx.run(leaf)
            if len(bench.wire.sent) > 10:
                loop.call_soon_threadsafe(enough.set)

    async with make_bench(Server(make_root("endless")), endless, wire=NearWire) as bench:
        bench.hint()
        await enough.wait()
        await bench.worker.stop(30)

    assert bench.wire.sent[-1].kind == "task.release"


# The end


@in_virtual_time
async def test_a_stopping_worker_gives_back_what_is_between_two_steps():
    enough, loop = asyncio.Event(), asyncio.get_running_loop()

    def endless(ctx):
        while True:
            if (yield ctx.run(leaf, ctx.id)) and len(bench.wire.sent) > 10:
                loop.call_soon_threadsafe(enough.set)

    server = Server(make_root("endless"))
    async with make_bench(server, endless) as bench:
        bench.hint()
        await enough.wait()
        await bench.worker.stop(30)

    assert bench.wire.sent[-1].kind == "task.release"
    assert bench.suspended == ["x"]
    assert not bench.leases.holds("x")


@in_virtual_time
async def test_a_stopping_worker_gives_back_what_it_is_being_granted():
    server = Server(make_root())
    server.overrules[TaskAcquire] = lambda request: None
    async with make_bench(server, main, leaf) as bench:
        bench.hint()
        await virtual_time.elapse(0.01)
        stopping = asyncio.ensure_future(bench.worker.stop(30))  # noqa: TID251  # awaited below
        await virtual_time.elapse(0.01)
        ((_, answering),) = bench.wire.unanswered
        answering.set_result(granted(make_root(), 1))
        await stopping
        await virtual_time.elapse(1)

    assert bench.kinds() == ["task.acquire", "task.release"]
