"""Waiting for several calls: the values, the first rejection, the first of several; and replays."""

from datetime import UTC

import pytest

from resonate_sdk import CanceledError, Constant, Never, Settled, UsageError, Won
from resonate_sdk.execution.effects import Done, Suspended
from resonate_sdk.protocol import limits
from tests.unit.sdk.execution.scripted import World


def step(ctx, value=None):
    return value


def failing(ctx, text="no"):
    raise ValueError(text)


def remote(ctx, *names):
    return [ctx.rpc(name) for name in names]


# all


@pytest.mark.parametrize("form", ["arguments", "list", "generator", "yielded list"])
def test_all_gives_all_values_in_order(world, form):
    def parent(ctx):
        calls = [ctx.run(step, 1), ctx.rpc("b"), ctx.begin_run(step, 3)]
        match form:
            case "arguments":
                return list((yield ctx.all(*calls)))
            case "list":
                return (yield ctx.all(calls))
            case "generator":
                return (yield ctx.all(call for call in calls))
            case _:
                return (yield calls)

    assert world.awaited(parent) == ("x.2",)
    world.server.resolve("x.2", 2)
    assert world.result(parent) == [1, 2, 3]


def test_all_begins_everything_before_it_waits(world):
    def parent(ctx):
        yield ctx.all(remote(ctx, "a", "b", "c"))

    assert len(world.start(parent).advance().effects) == 3


def test_all_takes_promises_that_were_begun_before(world):
    def parent(ctx):
        promise = yield ctx.begin_run(step, 1)
        return (yield ctx.all([promise, ctx.run(step, 2)]))

    assert world.result(parent) == [1, 2]


def test_all_of_nothing_is_nothing(world):
    def parent(ctx):
        return (yield ctx.all([]))

    assert world.result(parent) == []


def test_all_waits_for_each_so_that_a_rejection_is_seen_at_once(world):
    def parent(ctx):
        try:
            yield ctx.all(remote(ctx, "a", "b", "c"))
        except ValueError as error:
            return str(error)

    assert world.awaited(parent) == ("x.1", "x.2", "x.3")
    world.server.reject("x.2", ValueError("b is ill"))
    assert world.awaited(parent) == ("x.3",), "it has raised, and joins what it has begun"
    world.server.resolve("x.3")
    world.server.reject("x.1", ValueError("a, later"))
    assert world.result(parent) == "b is ill", "a replay raises what the first run raised"


# all_settled


def test_all_settled_tells_how_each_ended(world):
    def parent(ctx):
        found = yield ctx.all_settled(
            [
                ctx.run(step, 1),
                ctx.run(failing).options(retry_policy=Never()),
            ]
        )
        assert isinstance(found[0], Settled)
        with pytest.raises(ValueError, match="no"):
            found[1].result()
        return [found[0].result(), str(found[1].error)]

    assert world.result(parent) == [1, "no"]


def test_all_settled_sleeps_until_the_last(world):
    def parent(ctx):
        yield ctx.all_settled(remote(ctx, "a", "b", "c"))

    assert world.awaited(parent) == ("x.3",)


# race


def racing(losers):
    def parent(ctx):
        won = yield ctx.race(remote(ctx, "a", "b"), losers=losers)
        assert isinstance(won, Won)
        return [won.index, won.value]

    return parent


def test_a_race_is_won_by_the_first_and_the_others_are_canceled(world):
    parent = racing("cancel")
    assert world.awaited(parent) == ("x.1", "x.2")
    world.server.resolve("x.2", "b")

    assert world.result(parent) == [1, "b"]
    assert world.server.state("x.1") == "rejected_canceled"


def test_a_race_has_the_same_winner_at_every_replay(world):
    def parent(ctx):
        won = yield ctx.race(remote(ctx, "a", "b"), losers="join")
        yield (yield ctx.promise(id="go on"))
        return won.index

    world.awaited(parent)
    world.server.resolve("x.2", "b")
    assert world.awaited(parent) == ("go on",)
    world.server.resolve("x.1", "a")  # too late
    world.server.resolve("go on")

    assert world.result(parent) == 1
    assert world.server.get("x.3").tags["resonate:fp"] == "choice"


def test_any_has_the_same_winner_at_every_replay(world):
    def parent(ctx):
        won = yield ctx.any(remote(ctx, "a", "b"), losers="join")
        yield (yield ctx.promise(id="go on"))
        return won.index

    world.awaited(parent)
    world.server.resolve("x.2", "b")
    assert world.awaited(parent) == ("go on",)
    world.server.resolve("x.1", "a")  # too late
    world.server.resolve("go on")

    assert world.result(parent) == 1


def test_losers_are_let_go_or_joined_if_that_is_wanted(world):
    world.awaited(racing("detach"))
    world.server.resolve("x.1", "a")
    assert world.result(racing("detach")) == [0, "a"]
    assert world.server.state("x.2") == "pending"

    assert world.awaited(racing("join")) == ("x.2",)


def test_the_rejection_of_the_winner_is_raised(world):
    def parent(ctx):
        try:
            yield ctx.race([ctx.rpc("a"), ctx.sleep(60)])
        except ValueError as error:
            return str(error)

    world.awaited(parent)
    world.server.reject("x.1", ValueError("a is ill"))
    assert world.result(parent) == "a is ill"


def test_waiting_for_several_is_not_tried_again_whatever_the_policy_of_the_client():
    world = World(retry_policy=Constant(1))

    def parent(ctx):
        try:
            yield ctx.race([ctx.rpc("a"), ctx.rpc("b")])
        except ValueError as error:
            return str(error)

    world.awaited(parent)
    world.server.reject("x.1", ValueError("a is ill"))

    assert world.result(parent) == "a is ill"
    assert world.delays == []


def test_a_loser_that_runs_here_is_closed_and_canceled_with_what_it_called(world):
    closed = []

    def child(ctx):
        try:
            yield ctx.rpc("never")
        finally:
            closed.append(ctx.canceled)

    def parent(ctx):
        won = yield ctx.race([ctx.run(child), ctx.rpc("a")])
        return won.index

    assert set(world.awaited(parent)) == {"x.1.1", "x.2"}
    closed.clear()  # that was the suspension
    world.server.resolve("x.2")
    assert world.result(parent) == 1
    assert closed == [True]
    assert world.server.state("x.1") == "rejected_canceled"
    assert world.server.state("x.1.1") == "rejected_canceled"


def test_a_race_of_races(world):
    def parent(ctx):
        won = yield ctx.race([ctx.all(remote(ctx, "a", "b")), ctx.rpc("c")])
        return [won.index, won.value]

    assert set(world.awaited(parent)) == {"x.1", "x.2", "x.4"}
    world.server.resolve("x.1", 1)
    world.server.resolve("x.2", 2)
    assert world.result(parent) == [0, [1, 2]]


# any


def test_any_passes_rejections_by(world):
    def parent(ctx):
        won = yield ctx.any(remote(ctx, "a", "b", "c"))
        return won.value

    world.awaited(parent)
    world.server.reject("x.1", ValueError("a"))
    assert world.awaited(parent) == ("x.2", "x.3")
    world.server.resolve("x.3", "c")
    assert world.result(parent) == "c"
    assert world.server.state("x.2") == "rejected_canceled"


def test_any_of_rejections_raises_them_all(world):
    def parent(ctx):
        try:
            yield ctx.any([ctx.run(failing, text).options(retry_policy=Never()) for text in "ab"])
        except ExceptionGroup as group:
            return [str(error) for error in group.exceptions]

    assert world.result(parent) == ["a", "b"]


# Canceling


def test_a_canceled_promise_raises_where_it_is_awaited(world):
    def parent(ctx):
        promise = yield ctx.begin_rpc("a")
        yield promise.cancel()
        with pytest.raises(CanceledError):
            yield promise
        return "told"

    assert world.result(parent) == "told"


def test_what_is_settled_is_not_canceled(world):
    def parent(ctx):
        promise = yield ctx.begin_run(step, 5)
        value = yield promise
        yield promise.cancel()
        return [value, (yield promise)]

    assert world.result(parent) == [5, 5]


# Mistakes


@pytest.mark.parametrize("method", ["all", "all_settled", "race", "any"])
def test_what_cannot_be_waited_for_is_refused_with_advice(world, method):
    def parent(ctx):
        with pytest.raises(UsageError, match=rf"write ctx.{method}\(ctx.run\(f, x\)"):
            getattr(ctx, method)([step])
        yield ctx.run(step)
        return "told"

    assert world.result(parent) == "told"


@pytest.mark.parametrize("method", ["race", "any"])
def test_a_race_of_nothing_is_refused(world, method):
    def parent(ctx):
        with pytest.raises(UsageError, match="would never end"):
            getattr(ctx, method)([])
        with pytest.raises(UsageError, match=r"losers= of .*'join'., found 'kill'"):
            getattr(ctx, method)([ctx.sleep(1)], losers="kill")
        yield ctx.run(step)
        return "told"

    assert world.result(parent) == "told"


# Without a record


def test_a_function_that_is_not_durable_runs_at_every_replay_and_stores_nothing(world):
    runs = []

    def count(ctx):
        runs.append(ctx.id)
        return object

    def parent(ctx):
        value = yield ctx.run(count).options(durable=False)
        yield ctx.rpc("a")
        return value is object

    assert world.awaited(parent) == ("x.2",)
    world.server.resolve("x.2")
    assert world.result(parent) is True
    assert runs == ["x.1", "x.1"]
    assert world.server.ids == ["x.2"]


def test_durable_false_is_for_local_calls(world):
    def parent(ctx):
        ctx.rpc("a").options(durable=False)
        yield

    with pytest.raises(UsageError, match=r"durable=False is for ctx.run"):
        world.result(parent)


# Chance and time


def test_random_numbers_and_time_are_recorded(world):
    def parent(ctx):
        drawn = [
            (yield ctx.random.random()),
            (yield ctx.random.randint(1, 6)),
            (yield ctx.random.choice(["a", "b"])),
            (yield ctx.time.time()),
        ]
        yield ctx.rpc("a")
        return drawn

    assert isinstance(world.run(parent), Suspended)
    first = [world.server.value(f"x.{n}") for n in range(1, 5)]
    world.server.resolve("x.5")
    assert world.result(parent) == first


@pytest.mark.parametrize(
    ("draw", "fits"),
    [
        (lambda ctx: ctx.random.randrange(10, 20, 5), lambda n: n in (10, 15)),
        (lambda ctx: ctx.random.randrange(2), lambda n: n in (0, 1)),
        (lambda ctx: ctx.random.choices("ab", k=3), lambda found: len(found) == 3),
        (lambda ctx: ctx.random.sample([1, 2], 2), lambda found: sorted(found) == [1, 2]),
        (lambda ctx: ctx.random.getrandbits(8), lambda n: 0 <= n < 256),
        (lambda ctx: ctx.random.uniform(1, 2), lambda x: 1 <= x <= 2),
        (lambda ctx: ctx.random.triangular(1, 3, 2), lambda x: 1 <= x <= 3),
        (lambda ctx: ctx.random.betavariate(1, 2), lambda x: 0 <= x <= 1),
        (lambda ctx: ctx.random.expovariate(2), lambda x: x >= 0),
        (lambda ctx: ctx.time.strftime("%Y"), lambda text: text.isdigit()),
        (lambda ctx: ctx.time.now(), lambda now: now.tzinfo is UTC),
    ],
    ids=range(11),
)
def test_what_is_drawn_fits_and_is_drawn_once(world, draw, fits):
    drawn = []

    def parent(ctx):
        drawn.append((yield draw(ctx)))
        yield ctx.rpc("a")

    world.awaited(parent)
    world.awaited(parent)

    assert fits(drawn[0])
    assert drawn[0] == drawn[1]


def test_the_sources_of_chance_and_time_can_be_replaced(world):
    class Six:
        def randint(self, a, b):
            return 6

    class Noon:
        def time(self):
            return 43_200.0

    world.dependencies |= {"resonate:random": Six(), "resonate:time": Noon()}

    def parent(ctx):
        return [(yield ctx.random.randint(1, 6)), (yield ctx.time.now()).isoformat()]

    assert world.result(parent) == [6, "1970-01-01T12:00:00+00:00"]


def test_free_random_numbers_follow_from_the_id(world):
    def parent(ctx):
        yield ctx.sleep(0)
        return [ctx.rng.random(), ctx.rng.random(), str(ctx.uuid()), str(ctx.uuid())]

    first = world.result(parent)
    assert len(set(first)) == 4
    assert world.result(parent) == first


def test_replaying_is_told_and_silences_the_logger(world, caplog):
    seen = []

    def parent(ctx):
        seen.append(ctx.info.replaying)
        ctx.logger.warning("before")
        yield ctx.rpc("a")
        seen.append(ctx.info.replaying)
        ctx.logger.warning("after")

    world.awaited(parent)
    world.server.resolve("x.1")
    assert isinstance(world.run(parent), Done)

    assert seen == [False, True, False]
    assert [record.message for record in caplog.records] == ["x: before", "x: after"]


@pytest.mark.parametrize("method", ["race", "any"])
@pytest.mark.parametrize(("count", "message"), [(0, "of nothing"), (4, "at most 3 .* found 4")])
def test_the_first_of_none_or_of_more_than_a_task_can_wait_for_is_refused(
    world, monkeypatch, method, count, message
):
    """The end of what could not be named in a suspension would wake nobody."""
    monkeypatch.setattr(limits, "AWAITED_PER_SUSPEND_MAX", 3)

    def parent(ctx):
        yield getattr(ctx, method)(remote(ctx, *"abcd"[:count]))

    with pytest.raises(UsageError, match=message):
        world.result(parent)
    assert world.server.ids == []
