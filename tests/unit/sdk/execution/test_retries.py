"""When a failed function is run again, and when it is given up."""

import asyncio
from collections import deque

import pytest

from resonate_sdk import Constant, Exponential, Linear, Never, NonRetryable, RetryAfter, UsageError
from resonate_sdk.execution.effects import Done, Failed, StartTimer
from resonate_sdk.options import make_options
from tests.unit.sdk.execution.scripted import World


class Flaky:
    """Fails so often, then gives the number of the attempt.

    Attributes:
        attempts: what the context said at each.
    """

    def __init__(self, failures, error=None):
        self.failures = failures
        self.error = error or ValueError("flaky")
        self.attempts = []

    def __call__(self, ctx):
        self.attempts.append(ctx.info.attempt)
        if len(self.attempts) <= self.failures:
            raise self.error
        return len(self.attempts)


def calling(func, **options):
    """A workflow that runs one function."""

    def parent(ctx):
        return (yield ctx.run(func).options(**options))

    return parent


# By kind


def test_a_plain_function_is_run_again_ever_later(world):
    flaky = Flaky(6)

    assert world.result(calling(flaky)) == 7
    assert world.delays == [2, 4, 8, 16, 30, 30]
    assert flaky.attempts == [1, 2, 3, 4, 5, 6, 7]


def test_a_plain_function_that_is_the_root_is_run_again_as_well(world):
    assert world.result(Flaky(2)) == 3
    assert world.delays == [2, 4]


def test_a_failed_attempt_is_told_to_the_log(world, caplog):
    world.result(Flaky(2))

    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "function failed, trying again func=Flaky promise_id=x attempt=1 delay_s=2.0 "
        "reason=ValueError('flaky')",
        "function failed, trying again func=Flaky promise_id=x attempt=2 delay_s=4.0 "
        "reason=ValueError('flaky')",
    ]


def test_a_failed_attempt_is_not_written(world):
    world.result(calling(Flaky(3)))

    assert world.server.settled == [("x.1", "resolved")]


def test_a_workflow_is_not_run_again_by_default(world):
    attempts = []

    def child(ctx):
        attempts.append(1)
        yield ctx.sleep(0)
        raise ValueError("workflow")

    with pytest.raises(ValueError, match="workflow"):
        world.result(calling(child))
    assert attempts == [1]
    assert world.delays == []


def test_a_workflow_that_fails_before_its_first_yield_is_a_workflow(world):
    attempts = []

    def child(ctx):
        attempts.append(1)
        raise ValueError("workflow")
        yield

    with pytest.raises(ValueError, match="workflow"):
        world.result(calling(child))
    assert attempts == [1]


def test_an_explicit_policy_on_a_workflow_replays_its_body_over_settled_children(world):
    attempts, steps = [], []

    def step(ctx, n):
        steps.append((ctx.id, n))

    def child(ctx):
        attempts.append(ctx.info.attempt)
        yield ctx.run(step, 1)
        yield ctx.run(step, 2)
        if len(attempts) < 3:
            raise ValueError("again")
        yield ctx.run(step, 3)
        return "done"

    assert world.result(calling(child, retry_policy=Constant(1))) == "done"
    assert attempts == [1, 2, 3]
    assert steps == [("x.1.1", 1), ("x.1.2", 2), ("x.1.3", 3)]
    assert world.server.ids == ["x.1", "x.1.1", "x.1.2", "x.1.3"]


def test_a_function_that_is_not_durable_is_run_again_as_well(world):
    flaky = Flaky(2)

    assert world.result(calling(flaky, durable=False)) == 3
    assert world.delays == [2, 4]
    assert world.server.ids == []


def test_attempts_are_counted_anew_by_who_goes_on_after_a_crash(world):
    """They are known to the process alone."""
    flaky = Flaky(3)
    parent = calling(flaky)
    execution = world.start(parent)
    world.carry_out_all(execution.advance(world.carry_out_all(execution.advance().effects)).effects)
    execution.close()  # it dies after the first attempt
    assert flaky.attempts == [1]

    assert world.result(parent) == 4
    assert flaky.attempts == [1, 1, 2, 3]


def test_a_retried_workflow_meets_children_that_are_still_under_way(world):
    attempts = []

    def child(ctx):
        attempts.append(1)
        answer = yield ctx.begin_rpc("bar")
        if len(attempts) == 1:
            raise ValueError("again")
        return (yield answer)

    parent = calling(child, retry_policy=Constant(1))
    assert world.awaited(parent) == ("x.1.1",)
    world.server.resolve("x.1.1", 3)

    assert world.result(parent) == 3
    assert world.server.ids == ["x.1", "x.1.1"]


# By policy


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (Never(), []),
        (Constant(delay=3, max_retries=2), [3, 3]),
        (Linear(delay=3, max_retries=3), [3, 6, 9]),
        (Exponential(delay=1, factor=2, max_delay=8, max_retries=5), [2, 4, 8, 8, 8]),
        (Constant(delay=0, max_retries=1), [0]),
    ],
)
def test_a_policy_is_followed_until_it_gives_up(world, policy, delays):
    flaky = Flaky(100, ValueError("last"))

    with pytest.raises(ValueError, match="last"):
        world.result(calling(flaky, retry_policy=policy))
    assert world.delays == delays
    assert len(flaky.attempts) == len(delays) + 1
    assert world.server.settled == [("x.1", "rejected")]


def test_three_retries_are_four_attempts(world):
    flaky = Flaky(3)

    assert world.result(calling(flaky, retry_policy=Constant(delay=1, max_retries=3))) == 4
    assert flaky.attempts == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("call", "registration", "client", "delay"),
    [
        (Constant(1), Constant(2), Constant(3), 1),
        (None, Constant(2), Constant(3), 2),
        (None, None, Constant(3), 3),
        (None, None, None, 2),  # the default of plain functions
    ],
)
def test_the_call_wins_over_the_registration_and_that_over_the_client(
    call, registration, client, delay
):
    world = World(retry_policy=client)
    flaky = Flaky(1)
    world.register(flaky, name="flaky", options=make_options(retry_policy=registration))

    assert world.result(calling("flaky", retry_policy=call)) == 2
    assert world.delays == [delay]


def test_the_registration_of_a_root_gives_its_policy(world):
    given = make_options(retry_policy=Constant(7))

    assert world.result(Flaky(1), given=given) == 2
    assert world.delays == [7]


def test_a_view_of_the_context_gives_its_policy(world):
    def parent(ctx):
        return (yield ctx.options(retry_policy=Constant(7)).run(Flaky(1)))

    assert world.result(parent) == 2
    assert world.delays == [7]


# By error


class DeclinedError(Exception):
    pass


class HardDeclinedError(DeclinedError):
    pass


class HopelessError(Exception):
    retryable = False


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (NonRetryable("no"), {}),
        (HopelessError("no"), {}),
        (UsageError("no"), {}),
        (DeclinedError("no"), {"non_retryable_exceptions": (KeyError, DeclinedError)}),
        (HardDeclinedError("no"), {"non_retryable_exceptions": (DeclinedError,)}),
    ],
)
def test_some_errors_are_final_whatever_the_policy_says(world, error, options):
    flaky = Flaky(1, error)

    with pytest.raises(type(error), match="no"):
        world.result(calling(flaky, retry_policy=Constant(1), **options))
    assert flaky.attempts == [1]


@pytest.mark.parametrize("form", ["plain", "generator", "coroutine"])
def test_a_dependency_that_nobody_has_given_is_not_waited_for(world, form):
    def plain(ctx):
        return ctx.get_dependency(World)

    def generator(ctx):
        yield ctx.sleep(0)
        return ctx.get_dependency(World)

    async def coroutine(ctx):
        return ctx.get_dependency(World)

    func = {"plain": plain, "generator": generator, "coroutine": coroutine}[form]
    with pytest.raises(LookupError) as caught:
        world.result(calling(func, retry_policy=Constant(1)))

    assert isinstance(caught.value, UsageError)
    assert str(caught.value) == (
        "no dependency of type World: give it to each client that runs this function, with "
        "resonate.with_dependency(...)"
    )
    assert world.delays == []


def test_other_errors_are_retried_in_spite_of_non_retryable_ones(world):
    options = {"retry_policy": Constant(1), "non_retryable_exceptions": (DeclinedError,)}

    assert world.result(calling(Flaky(1, KeyError("k")), **options)) == 2


def test_a_function_may_say_when_it_wants_to_be_run_again(world):
    flaky = Flaky(2, RetryAfter(90, ValueError("busy")))

    assert world.result(calling(flaky)) == 3
    assert world.delays == [90, 90]


def test_what_could_not_be_retried_any_more_keeps_its_cause(world):
    flaky = Flaky(9, RetryAfter(90, ValueError("busy")))

    with pytest.raises(RetryAfter) as caught:
        world.result(calling(flaky, retry_policy=Constant(1, max_retries=1)))
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.delay == 90


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), asyncio.CancelledError()])
@pytest.mark.parametrize("is_root", [True, False])
def test_what_ends_a_pass_is_nothing_to_try_again(world, error, is_root):
    flaky, always = Flaky(9, error), make_options(retry_policy=Constant(1))
    outcome = (
        world.run(flaky, given=always)
        if is_root
        else world.run(calling(flaky, retry_policy=Constant(1)))
    )

    assert outcome == Failed(error)
    assert (flaky.attempts, world.delays) == ([1], [])


def test_a_childs_rejection_is_not_retried_by_its_parent(world):
    flaky, parents = Flaky(9), []

    def parent(ctx):
        parents.append(1)
        return (yield ctx.run(flaky).options(retry_policy=Never()))

    def root(ctx):
        return (yield ctx.run(parent).options(retry_policy=Constant(1, max_retries=2)))

    with pytest.raises(ValueError, match="flaky"):
        world.result(root)
    assert len(parents) == 3
    assert flaky.attempts == [1]


# By deadline


def test_a_delay_beyond_the_deadline_fails_at_once_with_the_last_error(world):
    flaky = Flaky(9, ValueError("last"))

    with pytest.raises(ValueError, match="last"):
        world.result(calling(flaky, retry_policy=Constant(10), timeout=25))
    assert world.delays == [10, 10]
    assert flaky.attempts == [1, 2, 3]


def test_the_last_delay_ends_before_the_deadline(world):
    flaky = Flaky(9)

    with pytest.raises(ValueError, match="flaky"):
        world.result(calling(flaky, retry_policy=Constant(10), timeout=20.001))
    assert world.delays == [10, 10]


def test_a_function_that_is_not_durable_fails_at_once_as_well(world):
    with pytest.raises(ValueError, match="flaky"):
        world.result(calling(Flaky(9), retry_policy=Constant(10), timeout=5, durable=False))
    assert world.delays == []


def test_a_workflow_with_a_policy_fails_at_once_as_well(world):
    def child(ctx):
        yield ctx.sleep(0)
        raise ValueError("workflow")

    with pytest.raises(ValueError, match="workflow"):
        world.result(calling(child, retry_policy=Constant(10), timeout=5))
    assert world.delays == []


def test_a_root_fails_at_once_as_well(world):
    with pytest.raises(ValueError, match="flaky"):
        world.result(Flaky(9), timeout_s=5, given=make_options(retry_policy=Constant(10)))
    assert world.delays == []


def test_the_delay_a_function_asks_for_is_bound_by_the_deadline_too(world):
    with pytest.raises(RetryAfter):
        world.result(calling(Flaky(9, RetryAfter(60)), timeout=30))
    assert world.delays == []


# Between attempts


def test_the_context_of_a_failed_attempt_is_closed(world):
    contexts = []

    def child(ctx):
        contexts.append(ctx)
        if len(contexts) == 1:
            raise ValueError("first")
        with pytest.raises(UsageError, match="has ended"):
            contexts[0].sleep(1)
        return contexts[1].id

    assert world.result(calling(child)) == "x.1"


def test_a_sibling_goes_on_while_an_attempt_is_waited_for(world):
    order = []

    def flaky(ctx):
        order.append("attempt")
        if len(order) == 1:
            raise ValueError("first")

    def sibling(ctx):
        order.append("sibling")

    def parent(ctx):
        first = yield ctx.begin_run(flaky)
        yield ctx.run(sibling)
        yield first

    execution = world.start(parent)
    progress = execution.advance()
    asked, timers = deque(progress.effects), []
    while asked:
        effect = asked.popleft()
        if isinstance(effect, StartTimer):
            timers.append(effect)
            continue
        progress = execution.advance([world.carry_out(effect)])
        asked += progress.effects
    assert order == ["attempt", "sibling"]

    assert isinstance(world.drive(execution, world.carry_out_all(timers)), Done)
    assert order == ["attempt", "sibling", "attempt"]
