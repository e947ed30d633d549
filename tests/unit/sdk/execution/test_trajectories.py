"""Whatever settles next, passes only ever go on: rules that hold for every body and at every fork."""

from asyncio import gather  # noqa: TID251  # users write it
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from msgspec import Struct

from resonate_sdk import Never
from resonate_sdk.execution.effects import Done, Outcome, Suspended
from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import PromiseRecord
from tests.unit.sdk.execution.scripted import World

PLACES_MAX = 500
CANCELED = {"rejected_canceled"}
Records = dict[str, PromiseRecord]


def leaf(ctx, value=1):
    return value


def failing(ctx):
    raise LookupError("no")


def remote(ctx, name="bar"):
    return (yield ctx.rpc(name))


def waits_for(ctx, promise):
    return (yield promise)


# The bodies: each kind of child, alone and in company


def runs(ctx):
    return (yield ctx.run(leaf)) + (yield ctx.run(leaf, 2))


def calls(ctx):
    return (yield ctx.rpc("bar")) + (yield ctx.rpc("baz"))


def awaits_in_another_order(ctx):
    a = yield ctx.begin_rpc("a")
    b = yield ctx.begin_rpc("b")
    c = yield ctx.begin_run(leaf)
    return [(yield c), (yield b), (yield a)]


def awaits_nothing(ctx):
    yield ctx.begin_rpc("a")
    yield ctx.begin_run(remote)
    yield ctx.begin_run(leaf)


def goes_deep(ctx):
    def middle(ctx):
        first = yield ctx.begin_run(remote, "a")
        return (yield ctx.run(remote, "b")) + (yield first)

    return (yield ctx.run(middle)) + (yield ctx.run(leaf))


def sleeps(ctx):
    yield ctx.sleep(5)
    yield ctx.rpc("a")
    return (yield ctx.sleep(5))


def asks(ctx):
    unnamed = yield ctx.promise()
    named = yield ctx.promise(id="named")
    return [(yield named), (yield unnamed)]


def detaches(ctx):
    yield ctx.detached("a")
    awaited = yield ctx.detached("b")
    return (yield awaited)


def shares(ctx):
    answer = yield ctx.promise()
    first = yield ctx.begin_run(waits_for, answer)
    second = yield ctx.begin_run(waits_for, answer)
    return [(yield first), (yield second), (yield ctx.rpc("a"))]


def catches(ctx):
    try:
        yield ctx.run(failing).options(retry_policy=Never())
    except LookupError:
        return (yield ctx.rpc("a"))


def fails(ctx):
    yield ctx.begin_rpc("a")
    yield ctx.run(failing).options(retry_policy=Never())


def loops(ctx):
    total = 0
    for number in range(4):
        total += yield ctx.rpc("a", number)
    return total


def joins(ctx):
    return (yield ctx.all([ctx.rpc("a"), ctx.run(remote), ctx.sleep(5)]))


def settles(ctx):
    found = yield ctx.all_settled([ctx.rpc("a"), ctx.run(failing).options(retry_policy=Never())])
    return [one.state for one in found]


def races(ctx):
    won = yield ctx.race([ctx.rpc("a"), ctx.run(remote, "b"), ctx.sleep(5)])
    return [won.index, (yield ctx.rpc("c"))]


def takes_any(ctx):
    won = yield ctx.any([ctx.rpc("a"), ctx.rpc("b")], losers="join")
    return won.index


def records(ctx):
    number = yield ctx.random.random()
    yield ctx.rpc("a")
    return (yield ctx.run(leaf).options(durable=False)) + number * 0


async def coroutine(ctx):
    first = ctx.rpc("a")
    second = await ctx.begin_run(remote, "b")
    return [await ctx.run(leaf), await second, await first]


async def gathers(ctx):
    return await gather(ctx.rpc("a"), ctx.rpc("b"), ctx.run(leaf))


SAME_IN_ANY_ORDER = (
    *(runs, calls, awaits_in_another_order, awaits_nothing, goes_deep, sleeps, asks, detaches),
    *(shares, catches, fails, loops, joins, settles, records, coroutine, gathers),
)
BY_ORDER = (races, takes_any)


class Place(Struct, frozen=True):
    """Where an execution has come to, and how: with what has settled, in this order."""

    before: Records
    after: Records
    outcome: Outcome
    order: tuple[str, ...] = ()

    @property
    def frontier(self) -> list[str]:
        """What may settle next: what is waited for, and what else was begun and is not detached."""
        awaited = self.outcome.awaited if isinstance(self.outcome, Suspended) else ()
        return [id for id in self.after if id in awaited or is_open(self.after[id])]


def is_open(record: PromiseRecord) -> bool:
    return is_external(record) and record.state == "pending" and record.tags[tag.ORIGIN] == "x"


def is_external(record: PromiseRecord) -> bool:
    return record.id != "x" and record.tags[tag.SCOPE] == tag.SCOPE_GLOBAL


class Trajectories:
    """All the ways in which an execution can come to its end."""

    def __init__(self, body: Callable[..., Any]) -> None:
        self.world = World()
        self.body = body

    def all(self) -> list[Place]:
        """Every place, the beginning first."""
        places = list(islice(self._from({}, ()), PLACES_MAX + 1))
        assert len(places) <= PLACES_MAX, "it does not come to an end"
        return places

    def _from(self, before: Records, order: tuple[str, ...]) -> Iterator[Place]:
        place = self.go_on(before, order)
        yield place
        for id in place.frontier:
            self.world.server.promises = dict(place.after)
            is_timer = tag.TIMER in place.after[id].tags
            self.world.server.resolve(id, None if is_timer else sum(id.encode()))
            yield from self._from(dict(self.world.server.promises), (*order, id))

    def go_on(self, before: Records, order: tuple[str, ...] = ()) -> Place:
        """One pass, with what is known by then."""
        server = self.world.server
        server.promises = dict(before)
        server.forget_journal()
        outcome = self.world.run(self.body)
        return Place(before, dict(server.promises), outcome, order)


@pytest.fixture
def trajectories() -> Iterator[Callable[..., Trajectories]]:
    """The ways of a body."""
    made: list[Trajectories] = []

    def make(body: Callable[..., Any]) -> Trajectories:
        made.append(Trajectories(body))
        return made[-1]

    yield make
    for one in made:
        one.world.stage.close()


EVERY_BODY = pytest.mark.parametrize(
    "body", [*SAME_IN_ANY_ORDER, *BY_ORDER], ids=lambda body: body.__name__
)


@EVERY_BODY
def test_a_pass_ends_when_nothing_is_open_and_else_waits_for_what_is(trajectories, body):
    for place in trajectories(body).all():
        if isinstance(place.outcome, Suspended):
            awaited = place.outcome.awaited
            assert len(set(awaited)) == len(awaited) > 0
            for id in awaited:
                assert is_external(place.after[id])
                assert place.after[id].state == "pending"
        else:
            assert isinstance(place.outcome, Done)
            assert place.frontier == []
            local = [r for r in place.after.values() if r.tags[tag.SCOPE] == tag.SCOPE_LOCAL]
            assert {record.state for record in local} <= {"resolved", "rejected"} | CANCELED


@EVERY_BODY
def test_a_pass_over_the_same_promises_asks_for_nothing_and_ends_alike(trajectories, body):
    ways = trajectories(body)
    for place in ways.all():
        again = ways.go_on(place.after)

        assert (ways.world.server.created, ways.world.server.settled) == ([], [])
        assert again.after == place.after
        if isinstance(place.outcome, Suspended):
            assert isinstance(again.outcome, Suspended)
            assert again.outcome.awaited == place.outcome.awaited
        else:
            assert again.outcome == place.outcome


@EVERY_BODY
def test_whichever_settles_next_promises_are_added_at_the_end_and_none_goes_back(
    trajectories, body
):
    for place in trajectories(body).all():
        assert [*place.after][: len(place.before)] == [*place.before]
        for id, record in place.before.items():
            now = place.after[id]
            assert (now.tags, now.param, now.timeout_at_ms) == (
                record.tags,
                record.param,
                record.timeout_at_ms,
            )
            assert record.state in ("pending", now.state)
            assert record.state == "pending" or now.value == record.value
        assert place.after["x"].state == "pending", "its own promise is for the worker to settle"


@pytest.mark.parametrize("body", SAME_IN_ANY_ORDER, ids=lambda body: body.__name__)
def test_in_whatever_order_they_settle_the_end_is_the_same(trajectories, body):
    ends = [place for place in trajectories(body).all() if isinstance(place.outcome, Done)]

    assert len({repr((end.outcome, sorted(end.after))) for end in ends}) == 1
