"""Random scripts: messages with requests of every kind, and the time that passes between them.

A request is drawn as a wish ("suspend the second task that somebody holds") and becomes a request
when it is known what is stored, so that most of them have something to act on.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

from resonate_broker import rules
from resonate_sdk.protocol import limits
from resonate_store.state import Promise, Snapshot, Task

NOW = 1_700_000_000_000
IDS = ("a", "a.1", "a.2", "b", "b.1", "c", "d", "e")

Wish = Callable[["World"], tuple[str, dict[str, Any]]]


class World:
    """What is stored when a message is written."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.promises = {promise.id: promise for promise in snapshot.promises}

    def pick(self, number: int, wanted: Callable[[Promise], bool]) -> str:
        """An id that is as wanted, if there is one."""
        found = [promise.id for promise in self.promises.values() if wanted(promise)]
        found = found or list(IDS)
        return found[number % len(found)]

    def task(self, id: str) -> Task | None:
        """The task of a promise."""
        promise = self.promises.get(id)
        return None if promise is None else promise.task

    def version(self, id: str, delta: int = 0) -> int:
        """The version of a task, or nearly so."""
        task = self.task(id)
        return max(0, (0 if task is None else task.version) + delta)

    def holder(self, id: str) -> str:
        """Who holds a task."""
        task = self.task(id)
        return (task.pid if task is not None else None) or "w1"


def is_any(promise: Promise) -> bool:
    return True


def is_open(promise: Promise) -> bool:
    return promise.state == "pending" and rules.is_external(promise)


def is_held(promise: Promise) -> bool:
    return promise.task is not None and promise.task.state == "acquired"


def is_waiting(promise: Promise) -> bool:
    return promise.task is not None and promise.task.state == "pending"


numbers = st.integers(0, 7)
ids = st.sampled_from(IDS)
pids = st.sampled_from(["w1", "w2"])
leases = st.sampled_from([1, 1_000, 15_000, 60_000])
booleans = st.booleans()
deltas = st.sampled_from([0] * 12 + [1, 1, -1])
values = st.sampled_from([{}, {"data": "x"}, {"headers": {"h": "v"}}])
states = st.sampled_from(["resolved", "rejected", "rejected_canceled"])
deadlines = st.sampled_from([-5, 0, 100, 3_000, 20_000] + [20_000_000] * 5)
targets = {"resonate:target": st.sampled_from(["g", "amqp://any@g/w2", "amqp://uni@h/w1"])}
lineage = {
    "resonate:branch": st.sampled_from(["own", "a", "b"]),
    "resonate:parent": st.sampled_from(["a", "a.1", "b"]),
}
whatever = {
    **lineage,
    "resonate:timer": st.sampled_from(["true", "no"]),
    "resonate:scope": st.sampled_from(["local", "global"]),
    "resonate:delay": st.sampled_from(["0", str(NOW + 2_000), "soon"]),
    "resonate:priority": st.sampled_from(["1", "high"]),
}


def creations(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Any]:
    """The data of creations with these tags."""
    return st.fixed_dictionaries(
        {
            "id": ids,
            "timeoutAt": deadlines.map(lambda ms: NOW + ms),
            "param": values,
            "tags": st.fixed_dictionaries(required, optional=optional),
        }
    )


plain = creations({}, lineage)
remote = creations(targets, lineage)
local = creations({"resonate:scope": st.just("local")}, lineage)
odd = creations({}, {**targets, **whatever})
anything = st.one_of(plain, plain, local, remote, remote, odd)


def descend(data: dict[str, Any], world: World) -> dict[str, Any]:
    """The creation as one of a branch that exists, or as a root.

    That a root may come after its children is tested elsewhere.
    """
    tags = dict(data["tags"])
    for tag in ("resonate:branch", "resonate:parent"):
        if tag in tags and tags[tag] not in world.promises:
            tags[tag] = data["id"]
    return data | {"tags": tags}


def settlement(id: str, state: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"id": id, "state": state, "value": value}


@st.composite
def reading(draw: st.DrawFn) -> Wish:
    """Asks, and changes nothing unless a deadline has come."""
    kind = draw(st.sampled_from(["promise.get", "task.get"]))
    number = draw(numbers)
    return lambda world: (kind, {"id": world.pick(number, is_any)})


@st.composite
def creating(draw: st.DrawFn) -> Wish:
    listener = draw(st.sampled_from([{}, {}, {"listener": "poll://uni@h/w9"}]))
    data = draw(anything) | listener
    return lambda world: ("promise.create", descend(data, world))


@st.composite
def settling(draw: st.DrawFn) -> Wish:
    number, state, value = draw(numbers), draw(states), draw(values)
    return lambda world: (
        "promise.settle",
        settlement(world.pick(number, is_open), state, value),
    )


@st.composite
def starting(draw: st.DrawFn) -> Wish:
    data, number, is_new = draw(remote), draw(numbers), draw(booleans)
    pid, ttl, preload = draw(pids), draw(leases), draw(booleans)

    def wish(world: World) -> tuple[str, dict[str, Any]]:
        create = descend(data if is_new else data | {"id": world.pick(number, is_waiting)}, world)
        action = {"kind": "promise.create", "data": create}
        return "task.create", {"pid": pid, "ttl": ttl, "action": action, "preload": preload}

    return wish


@st.composite
def acquiring(draw: st.DrawFn) -> Wish:
    number, delta = draw(numbers), draw(deltas)
    rest = {"pid": draw(pids), "ttl": draw(leases), "preload": draw(booleans)}

    def wish(world: World) -> tuple[str, dict[str, Any]]:
        id = world.pick(number, is_waiting)
        return "task.acquire", {"id": id, "version": world.version(id, delta), **rest}

    return wish


@st.composite
def releasing(draw: st.DrawFn) -> Wish:
    number, delta = draw(numbers), draw(deltas)

    def wish(world: World) -> tuple[str, dict[str, Any]]:
        id = world.pick(number, is_held)
        return "task.release", {"id": id, "version": world.version(id, delta)}

    return wish


@st.composite
def fulfilling(draw: st.DrawFn) -> Wish:
    number, delta, state, value = draw(numbers), draw(deltas), draw(states), draw(values)

    def wish(world: World) -> tuple[str, dict[str, Any]]:
        id = world.pick(number, is_held)
        action = {"kind": "promise.settle", "data": settlement(id, state, value)}
        return "task.fulfill", {"id": id, "version": world.version(id, delta), "action": action}

    return wish


@st.composite
def fencing(draw: st.DrawFn) -> Wish:
    number, inner, delta, preload = draw(numbers), draw(numbers), draw(deltas), draw(booleans)
    data, state, value, is_creation = draw(anything), draw(states), draw(values), draw(booleans)

    def wish(world: World) -> tuple[str, dict[str, Any]]:
        id = world.pick(number, is_held)
        if is_creation:
            action = {"kind": "promise.create", "data": descend(data, world)}
        else:
            settle = settlement(world.pick(inner, is_open), state, value)
            action = {"kind": "promise.settle", "data": settle}
        version = world.version(id, delta)
        return "task.fence", {"id": id, "version": version, "action": action, "preload": preload}

    return wish


@st.composite
def beating(draw: st.DrawFn) -> Wish:
    chosen = draw(st.lists(numbers, min_size=1, max_size=3))
    delta, is_holder = draw(deltas), draw(st.sampled_from([True, True, True, False]))

    def wish(world: World) -> tuple[str, dict[str, Any]]:
        held = [world.pick(number, is_held) for number in chosen]
        refs = [{"id": id, "version": world.version(id, delta)} for id in held]
        pid = world.holder(held[0]) if is_holder else "w3"
        return "task.heartbeat", {"pid": pid, "tasks": refs}

    return wish


@st.composite
def suspending(draw: st.DrawFn) -> Wish:
    number, delta, preload = draw(numbers), draw(deltas), draw(booleans)
    chosen = draw(st.lists(numbers, min_size=1, max_size=3, unique=True))
    wanted = draw(st.sampled_from([is_open, is_open, is_open, rules.is_external, is_any]))

    def wish(world: World) -> tuple[str, dict[str, Any]]:
        id = world.pick(number, is_held)
        awaited = dict.fromkeys(
            world.pick(n, lambda promise: wanted(promise) and promise.id != id) for n in chosen
        )
        actions = [
            {"kind": "promise.register_callback", "data": {"awaited": other, "awaiter": id}}
            for other in awaited
        ]
        version = world.version(id, delta)
        return "task.suspend", {
            "id": id, "version": version, "actions": actions, "preload": preload,
        }  # fmt: skip

    return wish


@st.composite
def calling_back(draw: st.DrawFn) -> Wish:
    awaited, awaiter = draw(numbers), draw(numbers)
    return lambda world: (
        "promise.register_callback",
        {
            "awaited": world.pick(awaited, is_open),
            "awaiter": world.pick(awaiter, lambda promise: promise.task is not None),
        },
    )


@st.composite
def listening(draw: st.DrawFn) -> Wish:
    number, address = draw(numbers), draw(st.sampled_from(["amqp://uni@g/c1", "h"]))
    return lambda world: (
        "promise.register_listener",
        {"awaited": world.pick(number, is_open), "address": address},
    )


@st.composite
def misusing(draw: st.DrawFn) -> Wish:
    """What the edge refuses, and what no rule is about."""
    kind, data = draw(
        st.sampled_from(
            [
                ("no.such.kind", {"id": "a"}),
                ("promise.get", {"id": ""}),
                ("task.acquire", {"id": "a", "version": 0, "pid": "w1", "ttl": 0}),
                ("task.suspend", {"id": "a", "version": 1, "actions": []}),
                ("hello", {"pid": "w1"}),
                ("promise.search", {"limit": 2}),
            ]
        )
    )
    return lambda world: (kind, data)


FREE = (
    reading(),
    reading(),
    creating(),
    creating(),
    settling(),
    starting(),
    acquiring(),
    acquiring(),
    releasing(),
    fulfilling(),
    fencing(),
    fencing(),
    beating(),
    misusing(),
)
WAITING = (suspending(), suspending(), suspending(), calling_back(), listening())


class Step(Struct, frozen=True):
    """Time passes, then a message comes.

    Attributes:
        is_told: whether messages for listeners arrived meanwhile.
        requests: makes the requests from what is stored then.
    """

    advance_ms: int
    is_told: bool
    requests: tuple[Callable[[World], dict[str, Any]], ...]

    def __repr__(self) -> str:
        """Short: what the requests have become is noted when they are carried out."""
        return f"Step({self.advance_ms} ms, {len(self.requests)} requests)"


def envelope(wish: Wish, chain: str | None, world: World) -> dict[str, Any]:
    """A request as it comes from the wire."""
    kind, data = wish(world)
    head = {"corrId": "c", "version": limits.VERSION} | ({"chain": chain} if chain else {})
    return {"kind": kind, "head": head, "data": data}


def steps(*kinds: st.SearchStrategy[Wish]) -> st.SearchStrategy[list[Step]]:
    """Scripts of requests of these kinds."""
    chains = st.sampled_from([None] * 6 + ["x", "y"])
    wishes = st.lists(st.tuples(st.one_of(*kinds), chains), min_size=2, max_size=12)
    pauses = st.sampled_from([0, 1, 100, 2_000, 5_000, 15_000])

    @st.composite
    def make_step(draw: st.DrawFn) -> Step:
        requests = tuple(partial(envelope, wish, chain) for wish, chain in draw(wishes))
        return Step(draw(pauses), draw(booleans), requests)

    return st.lists(make_step(), min_size=2, max_size=6)


def _create(id: str, timeout_ms: int, **tag: str) -> dict[str, Any]:
    tags = {f"resonate:{name}": value for name, value in tag.items()}
    return {"id": id, "timeoutAt": NOW + timeout_ms, "tags": tags}


def _start(id: str, pid: str) -> tuple[str, dict[str, Any]]:
    action = {"kind": "promise.create", "data": _create(id, 9_000_000, target="g", branch=id)}
    return "task.create", {"pid": pid, "ttl": 60_000, "action": action}


# What every script finds when it begins: two tasks that are held, one that waits, a sleep, a
# promise that somebody else settles, and one that nobody may await.
PRELUDE: tuple[tuple[str, dict[str, Any]], ...] = (
    _start("a", "w1"),
    _start("b", "w2"),
    ("promise.create", _create("a.1", 9_000_000, branch="a", parent="a")),
    ("promise.create", _create("a.2", 2_500, timer="true", branch="a", parent="a")),
    ("promise.create", _create("b.1", 9_000_000, target="h", branch="b.1", parent="b")),
    ("promise.create", _create("c", 4_000, scope="local", branch="b")),
)
