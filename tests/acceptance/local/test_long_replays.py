"""Executions that know more than has room in a message."""

from threading import Event

from resonate_sdk import Resonate
from resonate_sdk.protocol import limits
from resonate_sdk.worker.holder import Holder
from tests.processes import wait_until

STEPS = 30
WAIT_S = 30.0


def is_asleep(resonate: Resonate, id: str) -> bool:
    task = resonate.promises.task(id)
    return task is not None and task.state == "suspended"


def test_a_replay_knows_what_had_no_room_in_the_preload(monkeypatch):
    monkeypatch.setattr(limits, "PRELOAD_BYTES_MAX", 4_000)  # about ten of them
    monkeypatch.setattr(limits, "SEARCH_PAGE_MAX", 5)
    known: list[tuple[int, int]] = []
    runs: list[str] = []
    has_asked = Event()

    async def rest(holder, granted, check, ask=Holder.rest):
        found = await ask(holder, granted, check)
        known.append((len(granted.preload), len(found)))
        return found

    def step(ctx):
        runs.append(ctx.id)
        return 1

    def workflow(ctx):
        taken = 0
        for _ in range(STEPS):
            taken += yield ctx.run(step)
        calls = []
        for _ in range(STEPS):
            calls.append((yield ctx.begin_rpc(step)))
        for call in calls:
            taken += yield call
        answer = yield ctx.promise(id="answer")
        has_asked.set()
        taken += yield answer
        return taken + (yield ctx.run(step))

    monkeypatch.setattr(Holder, "rest", rest)
    with Resonate.local(cache_size=0) as resonate:
        resonate.register(step)
        handle = resonate.register(workflow).begin_run("w")
        assert has_asked.wait(WAIT_S)
        assert wait_until(lambda: is_asleep(resonate, "w"), seconds=WAIT_S)
        resonate.promises.resolve("answer", 1)

        assert handle.result(WAIT_S) == 2 * STEPS + 2

    assert len(runs) == len({*runs}) == 2 * STEPS + 1
    told, found = known[-1]
    assert 0 < told < STEPS
    assert told + found == 2 * STEPS + 1, "with the answer"
