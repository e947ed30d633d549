"""Options: checked where they are given, merged, never changed in place."""

import math
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import asdict

from resonate_sdk import Constant, Never, UsageError, poll
from resonate_sdk.functions.function import Function
from resonate_sdk.functions.registry import Registry
from resonate_sdk.options import NO_OPTIONS, make_options, seconds

ALL: dict[str, Any] = {
    "id": "i",
    "timeout": 5,
    "target": "g",
    "tags": {"a": "b"},
    "version": 2,
    "retry_policy": Never(),
    "non_retryable_exceptions": (KeyError,),
    "type": int,
    "idempotency_key": "k",
}


def test_what_is_not_given_is_not_there():
    assert set(asdict(make_options()).values()) == {None}
    assert make_options() == NO_OPTIONS


@pytest.mark.parametrize("keyword", ALL)
def test_each_option_sets_one_thing(keyword):
    given = asdict(make_options(**{keyword: ALL[keyword]}))

    assert len([value for value in given.values() if value is not None]) == 1


@pytest.mark.parametrize("keyword", ALL)
def test_what_is_given_later_wins_and_the_rest_stays(keyword):
    first = make_options(**ALL)
    later: Any = {
        "id": "j",
        "timeout": 0,
        "target": "h",
        "tags": {"c": "d"},
        "version": 0,
        "retry_policy": Constant(0),
        "non_retryable_exceptions": (),
        "type": str,
        "idempotency_key": "",
    }[keyword]

    merged = first.merged(make_options(**{keyword: later}))

    changed = {name for name, value in asdict(merged).items() if value != asdict(first)[name]}
    assert len(changed) == 1
    assert first == make_options(**ALL)


def test_tags_are_merged_one_by_one():
    first, second = make_options(tags={"a": "1", "b": "1"}), make_options(tags={"b": "2", "c": "2"})

    assert first.merged(second).tags == {"a": "1", "b": "2", "c": "2"}
    assert first.tags == {"a": "1", "b": "1"}
    assert second.tags == {"b": "2", "c": "2"}


def test_tags_that_are_changed_later_by_the_caller_do_not_matter():
    tags = {"a": "1"}
    given = make_options(tags=tags)

    tags["a"] = "2"

    assert given.tags == {"a": "1"}


@pytest.mark.parametrize("form", ["g", "poll://g", "poll://any@g", "amqp://any@g", poll("g")])
@pytest.mark.parametrize("keyword", ["target", "send_to"])
def test_targets_have_one_stored_form(form, keyword):
    assert make_options(**{keyword: form}).target == "amqp://any@g"


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"target": "a", "send_to": "b"}, UsageError, "target and send_to mean the same"),
        ({"version": -1}, ValueError, "0 .the latest. or more, found -1"),
        ({"timeout": -0.1}, ValueError, "0 seconds or more, found -0.1"),
        ({"timeout": math.nan}, ValueError, "0 seconds or more"),
        ({"timeout": timedelta(seconds=-1)}, ValueError, "0 seconds or more"),
        ({"tags": {"resonate:target": "g"}}, UsageError, "reserved: 'resonate:target'"),
        ({"tags": {"resonate:whatever": "g"}}, UsageError, "reserved: 'resonate:whatever'"),
        (
            {"tags": {"resonate:priority": "10"}},
            UsageError,
            "has 'resonate:priority': a priority is a number from 0 to 9, .* found '10'",
        ),
        ({"target": "a b"}, ValueError, "'a b' is no address: write a group name like"),
        ({"target": ""}, ValueError, "is no address"),
    ],
)
def test_senseless_options_are_refused(keywords, error, message):
    with pytest.raises(error, match=message):
        make_options(**keywords)


@pytest.mark.parametrize(
    "keywords",
    [
        {"timeout": "5"},
        {"version": "1"},
        {"tags": {"a": 1}},
        {"tags": ["a"]},
        {"id": 7},
        {"target": 7},
        {"retry_policy": "never"},
    ],
    ids=repr,
)
def test_an_option_of_the_wrong_type_is_refused_where_it_is_given(keywords):
    with pytest.raises((TypeError, ValueError)):
        make_options(**keywords)


@pytest.mark.parametrize(
    ("duration", "found"), [(5, 5.0), (0.5, 0.5), (0, 0.0), (timedelta(minutes=1), 60.0)]
)
def test_a_duration_is_seconds_or_a_timedelta(duration, found):
    assert seconds(duration) == found
    assert type(seconds(duration)) is float


# Views of functions


class Caller:
    """Takes down with what it is called."""

    def __init__(self):
        self.given = []

    def get(self, id, *, type=Any) -> Any:
        raise AssertionError("nobody looks at a promise here")

    def start_here(self, id, registered, args, kwargs, given) -> Any:
        self.given.append(given)

    start_at_target = start_here

    def schedule_registered(self, id, cron, registered, args, kwargs, given) -> Any:
        self.given.append((id, cron, given))

    def check_may_block(self, id) -> None:
        pass


def foo(ctx):
    return 1


def test_views_of_a_function_merge_and_leave_it_as_it_was():
    caller = Caller()
    function: Any = Function(caller, Registry().add(foo))

    short = function.options(timeout=1, tags={"a": "1"})
    both = short.options(target="g", tags={"b": "2"})
    for view in (function, short, both):
        view.begin_run("id")
        view.begin_rpc("id")

    expected = [
        make_options(),
        make_options(timeout=1, tags={"a": "1"}),
        make_options(timeout=1, target="g", tags={"a": "1", "b": "2"}),
    ]
    assert caller.given == [given for given in expected for _ in range(2)]


def test_a_view_of_a_function_is_the_function():
    function: Any = Function(Caller(), Registry().add(foo))
    view = function.options(timeout=1)

    assert view == function
    assert hash(view) == hash(function)
    assert (view.name, view.func, view(None)) == ("foo", foo, 1)


def test_a_function_looks_like_the_one_below():
    function: Any = Function(Caller(), Registry().add(foo, name="bar", version=2))

    assert function.__name__ == "foo"
    assert function.__wrapped__ is foo
    assert (function.name, function.version) == ("bar", 2)


def test_options_of_a_view_count_when_it_is_called_in_a_function(world):
    world.register(foo)
    function: Any = Function(Caller(), world.registry.by_func(foo))

    def parent(ctx):
        yield ctx.begin_rpc(function.options(timeout=5, target="g"))
        yield ctx.begin_run(function.options(timeout=5))

    world.run(parent)

    remote, local = world.server.created
    assert remote.tags["resonate:target"] == "amqp://any@g"
    assert remote.timeout_at_ms == local.timeout_at_ms == world.clock.now_ms + 5_000


def test_options_of_a_command_may_be_given_in_steps(world):
    def parent(ctx):
        op = ctx.begin_rpc("bar").options(timeout=5).options(target="g")
        yield op.options(tags={"a": "b"})

    world.run(parent)

    (request,) = world.server.created
    assert request.tags["resonate:target"] == "amqp://any@g"
    assert request.tags["a"] == "b"
    assert request.timeout_at_ms == world.clock.now_ms + 5_000


def test_an_option_that_is_none_is_refused_by_a_sentence(world):
    def parent(ctx):
        yield ctx.run(parent).options(timeouts=5)

    with pytest.raises(UsageError, match=r"<run parent>.options knows no timeouts=, it takes dura"):
        world.result(parent)


def test_each_place_takes_options_of_its_own(world):
    def parent(ctx):
        yield ctx.options(durable=False).run(parent)

    with pytest.raises(UsageError, match=r"ctx.options knows no durable=, it takes idempotency_"):
        world.result(parent)
    caller: Any = None
    function: Any = Function(caller, Registry().add(parent))
    with pytest.raises(UsageError, match=r"parent.options knows no id="):
        function.options(id="x")
