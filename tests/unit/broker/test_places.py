"""Who gets a place in a group with limits, at chosen instants."""

from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from resonate_broker import places
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.records import Rate
from resonate_store.state import Group, Promise
from tests.unit.broker.builders import NOW, make_promise, make_state, make_task

PER_SECOND = Rate(count=10, per_ms=1_000)


def waiting(id: str, key: str | None = None, **task: Any) -> Promise:
    return make_promise(id, task=make_task(concurrency_key=key, queued_at_ms=NOW, **task))


def take(group: Group, *promises: Promise, now_ms: int = NOW) -> tuple[list[str], Group]:
    """Who gets a place, one after the other in one batch, and what the group has then."""
    state = make_state(*promises, groups=[group], now_ms=now_ms)
    taken: list[str] = []
    for promise in promises:
        if places.try_take(state, promise):
            assert promise.task is not None
            state.put(replace(promise, task=replace(promise.task, hint_at_ms=now_ms)))
            taken.append(promise.id)
    after = state.group(group.name)
    assert after is not None
    return taken, after


def test_no_more_get_a_place_than_there_are():
    group = Group(name="g", concurrency=3, held={"a": ""})

    taken, after = take(group, waiting("b"), waiting("c"), waiting("d"))

    assert taken == ["b", "c"]
    assert after.held == {"a": "", "b": "", "c": ""}


def test_whoever_has_ended_in_the_same_batch_gives_its_place_to_the_next():
    group = Group(name="g", concurrency=1, held={"a": ""})
    ended = make_promise("a", task=make_task("suspended"))
    state = make_state(ended, waiting("b"), groups=[group])

    assert places.try_take(state, waiting("b"))
    assert state.changes().groups_put == (Group(name="g", concurrency=1, held={"b": ""}),)


def test_a_key_gets_no_more_than_its_own_and_leaves_the_rest_to_others():
    group = Group(name="g", concurrency=3, key_concurrency=1)
    promises = [waiting("a", "x"), waiting("b", "x"), waiting("c", "y"), waiting("d"), waiting("e")]

    assert take(group, *promises)[0] == ["a", "c", "d"]


def test_nothing_stops_who_has_no_key_at_the_limits_of_keys():
    group = Group(name="g", key_concurrency=0, key_rate=Rate(count=1, per_ms=86_400_000))

    assert take(group, waiting("a"), waiting("b"), waiting("c", "x"))[0] == ["a", "b"]


def test_a_stopped_group_gives_no_place():
    assert take(Group(name="g", concurrency=0), waiting("a"))[0] == []


def test_a_group_without_limits_gives_all():
    state = make_state(waiting("a"), named_groups=["g"])

    assert places.try_take(state, waiting("a"))
    assert not state.changes()


def test_who_is_refused_uses_nothing_up():
    group = Group(name="g", concurrency=0, rate=PER_SECOND, held={"a": ""}, starts={"": 1})

    assert take(group, waiting("b"))[1] is group


def test_only_the_first_hint_of_an_execution_is_a_start():
    group = Group(name="g", rate=Rate(count=1, per_ms=86_400_000))
    promises = [waiting("a"), waiting("b"), waiting("c", version=1), waiting("d", attempts=1)]

    assert take(group, *promises)[0] == ["a", "c", "d"]


def test_what_only_one_process_may_run_needs_no_place():
    target = {"resonate:target": "amqp://uni@g/w1"}
    promise = make_promise("a", task=make_task(), tags=target)

    assert not places.needs_place(promise)
    assert places.needs_place(waiting("b"))
    assert not places.needs_place(waiting("c", hint_at_ms=NOW))
    assert not places.needs_place(make_promise("d", task=make_task("acquired")))


def test_starts_that_hold_nobody_back_any_more_are_forgotten():
    group = Group(name="g", key_rate=PER_SECOND)
    _, group = take(group, waiting("a", "x"), waiting("b", "y"))

    _, group = take(group, waiting("c", "z"), now_ms=NOW + 100)

    assert [*group.starts] == ["z"]


# Rates, in a time of their own


def starts(group: Group, instants: list[int], key: str | None = None) -> list[int]:
    """When executions start of which so many wait that there is always one."""
    started: list[int] = []
    ids = count()
    for now_ms in instants:
        while True:
            taken, after = take(group, waiting(f"{next(ids)}", key), now_ms=now_ms)
            if not taken:
                break
            started.append(now_ms)
            group = replace(after, held={})  # it ends at once
    return started


RATES = st.builds(
    Rate, count=st.integers(1, 50), per_ms=st.sampled_from([100, 1_000, 60_000, 3_600_000])
)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(rate=RATES, pauses=st.lists(st.integers(0, 3_000), min_size=1, max_size=40))
@pytest.mark.parametrize("key", [None, "k"])
def test_in_no_time_more_start_than_the_rate_and_what_was_left_over(
    key: str | None, rate: Rate, pauses: list[int]
):
    instants = [NOW + sum(pauses[:n]) for n in range(len(pauses))]
    group = Group(name="g", rate=None, key_rate=rate) if key else Group(name="g", rate=rate)

    started = starts(group, instants, key)

    ahead = max(1, rate.count * 1_000 // rate.per_ms)
    for first, begin in enumerate(started):
        for last in range(first, len(started)):
            allowed = ahead + (started[last] - begin) * rate.count / rate.per_ms
            assert last - first + 1 <= allowed + 1e-6 + 1, (started, rate)


@pytest.mark.parametrize(
    ("rate", "seconds", "expected"),
    [
        (PER_SECOND, 10, 110),
        (Rate(count=100, per_ms=60_000), 60, 101),
        (Rate(count=1, per_ms=10_000), 100, 11),
        (Rate(count=2_000, per_ms=1_000), 2, 6_000),
    ],
)
def test_who_always_has_work_reaches_the_rate(rate: Rate, seconds: int, expected: int):
    started = starts(Group(name="g", rate=rate), [NOW + ms for ms in range(seconds * 1_000 + 1)])

    assert abs(len(started) - expected) <= 1


# Whom to ask


def test_no_more_are_asked_than_may_come():
    group = Group(name="g", concurrency=5, held={"a": "x", "b": "y"}, key_concurrency=1)

    offer = places.offer(group, 100, NOW)

    assert offer.wanted.count_max == 3
    assert offer.wanted.full_keys == ("x", "y")
    assert not offer.is_for_all


def test_who_has_used_up_the_rate_asks_for_those_that_have_started_and_comes_again():
    group = Group(name="g", rate=PER_SECOND)
    for number in range(10):
        _, group = take(group, waiting(f"{number}"))

    offer = places.offer(group, 100, NOW)

    assert not offer.wanted.may_start
    assert offer.again_at_ms == NOW + 100
    assert places.offer(group, 100, NOW + 100).wanted.count_max == 1
    assert places.offer(group, 100, NOW + 150).wanted.count_max == 1
    assert places.offer(group, 100, NOW + 1_000).wanted.count_max == 10


def test_a_key_that_has_used_up_its_rate_lets_others_pass():
    _, group = take(Group(name="g", key_rate=Rate(count=1, per_ms=5_000)), waiting("a", "x"))

    offer = places.offer(group, 100, NOW)

    assert offer.wanted.may_start
    assert offer.wanted.late_keys == ("x",)
    assert offer.again_at_ms == NOW + 5_000
    assert not offer.is_for_all


def test_a_start_between_two_milliseconds_comes_in_the_later_one():
    group = Group(name="g", rate=Rate(count=7, per_ms=10_000))  # one in 1428.57 ms
    _, group = take(group, waiting("a"))

    assert places.offer(group, 100, NOW).again_at_ms == NOW + 1_429
    assert take(group, waiting("b"), now_ms=NOW + 1_428)[0] == []
    assert take(group, waiting("b"), now_ms=NOW + 1_429)[0] == ["b"]


def test_the_fastest_rate_that_may_be_set_can_be_counted():
    group = Group(name="g", rate=Rate(count=limits.RATE_COUNT_MAX, per_ms=1))
    _, group = take(group, waiting("a"))

    assert places.offer(group, 100, NOW).wanted.count_max == 100


def test_the_first_key_that_may_start_again_says_when_more_may_come():
    group = Group(name="g", key_rate=Rate(count=1, per_ms=5_000))
    _, group = take(group, waiting("a", "y"))
    _, group = take(group, waiting("b", "x"), now_ms=NOW + 1_000)

    offer = places.offer(group, 100, NOW + 2_000)
    assert (offer.wanted.late_keys, offer.again_at_ms) == (("x", "y"), NOW + 5_000)

    offer = places.offer(group, 100, NOW + 5_000)
    assert (offer.wanted.late_keys, offer.again_at_ms) == (("x",), NOW + 6_000)


def test_while_nothing_may_start_a_key_that_may_is_no_reason_to_look():
    rate, key_rate = Rate(count=1, per_ms=10_000), Rate(count=1, per_ms=5_000)
    _, group = take(Group(name="g", rate=rate, key_rate=key_rate), waiting("a", "x"))

    offer = places.offer(group, 100, NOW)

    assert not offer.wanted.may_start
    assert offer.again_at_ms == NOW + 10_000


def test_a_group_with_places_left_asks_for_no_more_than_the_broker_takes():
    assert places.offer(Group(name="g", concurrency=50), 7, NOW).wanted.count_max == 7


def test_a_group_without_limits_asks_for_all_that_the_broker_takes():
    assert places.offer(Group(name="g"), 7, NOW) == places.Offer(places.Wanted(count_max=7), None)
