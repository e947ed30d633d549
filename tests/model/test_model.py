"""The reference model keeps the equations of the protocol (113), on random states."""

import msgspec
import pytest

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.envelope import Decoded, decode_body
from resonate_sdk.protocol.responses import PromiseData, TaskGranted
from tests.model.draft import rest
from tests.model.model import KINDS, step
from tests.model.state import Json, State
from tests.simulation.requests import Knowledge, Requests
from tests.simulation.world import World

SEEDS = range(20)
EMPTY = State(promises={}, callbacks={}, listeners={})


def history(seed: int, length: int = 60) -> list[tuple[State, str, Json, int]]:
    """Random requests, each with the state that it meets, and its instant."""
    world = World(seed)
    known = Knowledge("w", world.store_now_ms)
    requests = Requests(world.random, known, lambda: 0)
    state, met = EMPTY, list[tuple[State, str, Json, int]]()
    while len(met) < length:
        world.now_ms += world.delay(3_000)
        request = decoded(*requests.make())
        if request is None:
            continue
        kind, data = request
        met.append((state, kind, data, world.now_ms))
        state, status, answer = step(state, kind, data, world.now_ms)
        if status == 200 and "promise" in answer:
            promise = msgspec.convert(answer, PromiseData).promise
            known.promises[promise.id] = promise
        if status == 200 and "task" in answer and "promise" in answer:
            task = msgspec.convert(answer, TaskGranted).task
            known.tasks[task.id] = task
            known.held |= {task.id: task.version} if task.state == "acquired" else {}
    return met


def decoded(kind: str, data: Json) -> tuple[str, Json] | None:
    """The request after the normalisation at the edge; None if the model has nothing to say."""
    head = {"version": limits.VERSION}
    body = decode_body(msgspec.json.encode({"kind": kind, "head": head, "data": data}))
    (item,) = body.items
    if not isinstance(item, Decoded) or item.kind not in KINDS:
        return None
    return kind, msgspec.to_builtins(item.request)


@pytest.mark.parametrize("seed", SEEDS)
def test_repeating_is_harmless_where_the_protocol_says_so(seed: int):
    idempotent = ("promise.", "task.get", "task.heartbeat", "task.halt")
    for state, kind, data, now in history(seed):
        if kind.startswith(idempotent):
            once = step(state, kind, data, now)

            assert step(once[0], kind, data, now) == once, kind


@pytest.mark.parametrize("seed", SEEDS)
def test_a_refusal_changes_nothing_but_what_deadlines_do(seed: int):
    for state, kind, data, now in history(seed):
        after, status, _ = step(state, kind, data, now)

        if status not in (200, 300):
            assert rest(after, now) == rest(state, now), kind


@pytest.mark.parametrize("seed", SEEDS)
def test_halt_and_continue_is_release_for_who_is_held(seed: int):
    for state, _, _, now in history(seed):
        for id, promise in state.promises.items():
            if promise.task is None or promise.task.state != "acquired":
                continue
            version = promise.task.version
            halted, _, _ = step(state, "task.halt", {"id": id}, now)
            continued, _, _ = step(halted, "task.continue", {"id": id}, now)

            released, _, _ = step(state, "task.release", {"id": id, "version": version}, now)

            assert rest(continued, now) == rest(released, now)


def test_a_function_of_its_arguments_changes_none_of_them():
    met = history(1)
    again = history(1)

    assert met == again
