"""What the promise of each construct says: tags, deadline, parameter."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from resonate_sdk import Promise, UsageError, poll
from resonate_sdk.options import Options, make_options
from resonate_sdk.protocol import limits, tags as tag
from resonate_sdk.protocol.addresses import AddressError
from resonate_sdk.protocol.records import EMPTY
from tests.unit.sdk.execution.scripted import HOUR_S, START_MS, plain

REMOTE_ROOT = {  # a callee deep in somebody else's tree
    tag.ORIGIN: "top",
    tag.BRANCH: "top.3",
    tag.PARENT: "top",
    tag.PREFIX: "very-first",
}

UNTESTED = (tag.FINGERPRINT, tag.FUNCTION)


def leaf(ctx, *args, **kwargs):
    return None


def asked(world, call, *, id="x", tags=None, timeout_s=HOUR_S, given=None):
    """The one request that a function makes which yields what `call` returns."""

    def parent(ctx):
        yield call(ctx)

    world.drive(
        world.start(parent, id=id, tags=tags, timeout_s=timeout_s, given=given or Options())
    )
    (request,) = world.server.created
    return request


def own_tags(request):
    """Without the fingerprint, which belongs to the determinism checks."""
    return {key: text for key, text in request.tags.items() if key not in UNTESTED}


def test_a_local_call_has_no_target_and_keeps_the_callers_branch(world):
    request = asked(world, lambda ctx: ctx.run(leaf), id="top.3", tags=REMOTE_ROOT)

    assert request.id == "top.3.1"
    assert own_tags(request) == {
        tag.SCOPE: "local",
        tag.ORIGIN: "top",
        tag.BRANCH: "top.3",
        tag.PARENT: "top.3",
    }


def test_the_arguments_of_a_local_call_are_not_stored(world):
    request = asked(world, lambda ctx: ctx.run(leaf, object(), key=object()))

    assert request.param == EMPTY


def test_a_remote_call_has_a_target_and_a_branch_of_its_own(world):
    request = asked(world, lambda ctx: ctx.rpc("bar"), id="top.3", tags=REMOTE_ROOT)

    assert own_tags(request) == {
        tag.TARGET: "amqp://any@default",
        tag.SCOPE: "global",
        tag.ORIGIN: "top",
        tag.BRANCH: "top.3.1",
        tag.PARENT: "top.3",
        tag.PREFIX: "very-first",
    }


def test_a_remote_call_carries_its_function_and_arguments(world):
    request = asked(world, lambda ctx: ctx.rpc("bar", 1, [2], key="three"))

    assert plain(request.param) == {
        "func": "bar",
        "args": [1, [2]],
        "kwargs": {"key": "three"},
        "version": 1,
    }


def test_an_argument_that_looks_like_a_call_is_just_an_argument(world):
    lookalike = {"func": "other", "args": [9], "kwargs": {}, "version": 7}

    request = asked(world, lambda ctx: ctx.rpc("bar", lookalike))

    assert plain(request.param)["func"] == "bar"
    assert plain(request.param)["args"] == [lookalike]


@pytest.mark.parametrize("keyword", ["target", "send_to"])
@pytest.mark.parametrize("form", ["billing", "poll://any@billing", poll("billing")])
def test_target_and_send_to_take_groups_and_addresses(world, keyword, form):
    request = asked(world, lambda ctx: ctx.rpc("bar").options(**{keyword: form}))

    assert request.tags[tag.TARGET] == "amqp://any@billing"


@pytest.mark.parametrize("call", ["rpc", "begin_rpc", "detached"])
@pytest.mark.parametrize("address", ["amqp-exchange://orders/price.quote", "celery://jobs"])
def test_the_address_of_a_service_beside_the_arguments_is_the_target(world, call, address):
    request = asked(world, lambda ctx: getattr(ctx, call)("op", 7, target=address))

    assert request.tags[tag.TARGET] == address
    assert (plain(request.param)["args"], plain(request.param)["kwargs"]) == ([7], {})


def test_any_other_target_beside_the_arguments_is_an_argument(world):
    request = asked(world, lambda ctx: ctx.rpc("deploy", target="production"))

    assert request.tags[tag.TARGET] == "amqp://any@default"
    assert plain(request.param)["kwargs"] == {"target": "production"}


def test_a_misspelt_address_of_a_service_is_told(world):
    def parent(ctx):
        with pytest.raises(AddressError, match="names no routing key"):
            ctx.rpc("op", 7, target="amqp-exchange://orders")
        return "told"
        yield

    assert plain(world.run(parent).value) == "told"


def test_a_call_may_be_meant_for_this_process_first(world):
    def parent(ctx):
        yield ctx.begin_rpc("bar").options(execute_here=True)
        yield ctx.begin_rpc("bar").options(execute_here=False)

    world.run(parent)

    targets = [request.tags.get(tag.TARGET) for request in world.server.created]
    assert targets == ["amqp://any@default/me", "amqp://any@default"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ctx: ctx.run(leaf).options(execute_here=True), r"is for ctx.rpc"),
        (lambda ctx: ctx.detached("a").options(execute_here=True), r"is for ctx.rpc"),
        (lambda ctx: ctx.rpc("a").options(execute_here=True, target="g"), "one of them"),
        (lambda ctx: ctx.options(target="g").rpc("a").options(execute_here=True), "one of them"),
    ],
)
def test_only_a_remote_call_without_a_target_may_be_meant_for_this_process(world, call, message):
    def parent(ctx):
        yield call(ctx)

    with pytest.raises(UsageError, match=message):
        world.result(parent)


def test_a_view_of_the_context_gives_its_target_to_remote_calls_only(world):
    def parent(ctx):
        view = ctx.options(target="billing")
        yield view.begin_rpc("bar")
        yield view.begin_run(leaf)
        yield view.promise()
        yield view.sleep(1)

    world.run(parent)

    targets = [request.tags.get(tag.TARGET) for request in world.server.created]
    assert targets == ["amqp://any@billing", None, None, None]


def test_a_sleep_is_a_timer_in_the_callers_branch(world):
    request = asked(world, lambda ctx: ctx.sleep(5), id="top.3", tags=REMOTE_ROOT)

    assert request.param == EMPTY
    assert own_tags(request) == {
        tag.SCOPE: "global",
        tag.TIMER: "true",
        tag.ORIGIN: "top",
        tag.BRANCH: "top.3",
        tag.PARENT: "top.3",
        tag.PREFIX: "very-first",
    }


def test_a_promise_is_external_in_the_callers_branch_and_carries_its_data(world):
    request = asked(world, lambda ctx: ctx.promise(data={"ask": 1}), id="top.3", tags=REMOTE_ROOT)

    assert plain(request.param) == {"ask": 1}
    assert own_tags(request) == {
        tag.SCOPE: "global",
        tag.EXTERNAL: "true",
        tag.ORIGIN: "top",
        tag.BRANCH: "top.3",
        tag.PARENT: "top.3",
        tag.PREFIX: "very-first",
    }


def test_a_promise_without_data_is_empty(world):
    assert asked(world, lambda ctx: ctx.promise()).param == EMPTY


def test_a_detached_call_is_the_root_of_a_tree_of_its_own(world):
    request = asked(world, lambda ctx: ctx.detached("bar", 1), id="top.3", tags=REMOTE_ROOT)

    assert plain(request.param)["args"] == [1]
    assert own_tags(request) == {
        tag.TARGET: "amqp://any@default",
        tag.SCOPE: "global",
        tag.ORIGIN: request.id,
        tag.BRANCH: request.id,
        tag.PARENT: "top.3",
        tag.PREFIX: "very-first",
    }


@pytest.mark.parametrize(
    "call",
    [
        lambda ctx: ctx.run(leaf).options(id="own"),
        lambda ctx: ctx.rpc("bar").options(id="own"),
        lambda ctx: ctx.promise(id="own"),
        lambda ctx: ctx.detached("bar").options(id="own"),
    ],
    ids=["run", "rpc", "promise", "detached"],
)
def test_an_explicit_id_breaks_the_lineage(world, call):
    request = asked(world, call, id="top.3", tags=REMOTE_ROOT)

    assert (request.tags[tag.ORIGIN], request.tags[tag.BRANCH]) == ("own", "own")
    assert request.tags[tag.PARENT] == "top.3"


def test_the_lineage_goes_down_through_local_children(world):
    def grandchild(ctx):
        yield ctx.begin_rpc("bar")
        yield ctx.sleep(1)

    def child(ctx):
        yield ctx.run(grandchild)

    def parent(ctx):
        yield ctx.run(child)

    world.run(parent, id="top.3", tags=REMOTE_ROOT)

    lineage = {
        request.id: (
            request.tags[tag.ORIGIN],
            request.tags[tag.BRANCH],
            request.tags[tag.PARENT],
            request.tags.get(tag.PREFIX),
        )
        for request in world.server.created
    }
    assert lineage == {
        "top.3.1": ("top", "top.3", "top.3", None),
        "top.3.1.1": ("top", "top.3", "top.3.1", None),
        "top.3.1.1.1": ("top", "top.3.1.1.1", "top.3.1.1", "very-first"),
        "top.3.1.1.2": ("top", "top.3", "top.3.1.1", "very-first"),
    }


def test_the_lineage_below_a_local_child_begins_with_its_explicit_id(world):
    def child(ctx):
        yield ctx.run(leaf)

    def parent(ctx):
        yield ctx.run(child).options(id="own")

    world.run(parent, id="top.3", tags=REMOTE_ROOT)

    origins = {request.id: request.tags[tag.ORIGIN] for request in world.server.created}
    assert origins == {"own": "own", "own.1": "own"}


def test_users_tags_lie_below_our_own(world):
    def call(ctx):
        return (
            ctx.options(tags={"team": "a", "kind": "view"}).rpc("bar").options(tags={"kind": "b"})
        )

    request = asked(world, call)

    assert (request.tags["team"], request.tags["kind"]) == ("a", "b")
    assert request.tags[tag.SCOPE] == "global"


def test_priority_and_key_are_tags_that_users_may_set(world):
    given = {"resonate:priority": "7", "resonate:key": "customer-1"}

    request = asked(world, lambda ctx: ctx.rpc("bar").options(tags=given))

    assert given.items() <= request.tags.items()


def test_an_idempotency_key_is_kept_as_a_tag(world):
    request = asked(world, lambda ctx: ctx.promise(idempotency_key="k"))

    assert request.tags[tag.IDEMPOTENCY_KEY] == "k"


def test_a_call_by_object_names_what_that_object_is_registered_as(world):
    world.register(leaf, name="second-of-its-name", version=2)

    request = asked(world, lambda ctx: ctx.rpc(leaf).options(version=1))

    assert plain(request.param)["func"] == "second-of-its-name"
    assert plain(request.param)["version"] == 2


@pytest.mark.parametrize(("asked_for", "stored"), [(None, 3), (0, 3), (2, 2), (9, 9)])
def test_a_call_by_name_takes_the_version_asked_for_or_the_latest_known_here(
    world, asked_for, stored
):
    world.register(leaf, name="bar", version=1)
    world.register(lambda ctx: None, name="bar", version=3)

    request = asked(world, lambda ctx: ctx.rpc("bar").options(version=asked_for))

    assert plain(request.param)["version"] == stored


# Deadlines


HOUR_MS = HOUR_S * 1000


@pytest.mark.parametrize(
    ("call", "after_ms"),
    [
        (lambda ctx: ctx.run(leaf), HOUR_MS),
        (lambda ctx: ctx.rpc("bar"), HOUR_MS),
        (lambda ctx: ctx.promise(), HOUR_MS),
        (lambda ctx: ctx.run(leaf).options(timeout=5), 5_000),
        (lambda ctx: ctx.rpc("bar").options(timeout=timedelta(minutes=1)), 60_000),
        (lambda ctx: ctx.rpc("bar").options(timeout=0.25), 250),
        (lambda ctx: ctx.run(leaf).options(timeout=2 * HOUR_S), HOUR_MS),
        (lambda ctx: ctx.rpc("bar").options(timeout=2 * HOUR_S), HOUR_MS),
        (lambda ctx: ctx.options(timeout=5).rpc("bar"), 5_000),
        (lambda ctx: ctx.promise(timeout=7), 7_000),
        (lambda ctx: ctx.promise(timeout=2 * HOUR_S), HOUR_MS),
        (lambda ctx: ctx.sleep(9), 9_000),
        (lambda ctx: ctx.sleep(timedelta(seconds=9)), 9_000),
        (lambda ctx: ctx.sleep(0), 0),
        (lambda ctx: ctx.sleep(2 * HOUR_S), HOUR_MS),
        (lambda ctx: ctx.sleep(until=datetime.fromtimestamp(START_MS / 1000 + 3, UTC)), 3_000),
        (lambda ctx: ctx.detached("bar").options(timeout=5), 5_000),
        (lambda ctx: ctx.detached("bar").options(timeout=2 * HOUR_S), 2 * HOUR_MS),
        (lambda ctx: ctx.detached("bar"), limits.PROMISE_TIMEOUT_MS_DEFAULT),
    ],
)
def test_a_childs_deadline_is_its_own_but_never_after_the_callers_unless_detached(
    world, call, after_ms
):
    assert asked(world, call).timeout_at_ms == START_MS + after_ms


@pytest.mark.parametrize(
    ("call", "after_ms"),
    [
        (lambda ctx: ctx.options(timeout=1).sleep(9), 9_000),
        (lambda ctx: ctx.sleep(9).options(timeout=1), 9_000),
        (lambda ctx: ctx.options(timeout=1).promise(timeout=9), 9_000),
        (lambda ctx: ctx.promise(timeout=9).options(timeout=1), 9_000),
        (lambda ctx: ctx.options(timeout=1).promise(), HOUR_MS),
    ],
    ids=["sleep-view", "sleep-suffix", "promise-view", "promise-suffix", "promise-default"],
)
def test_sleeps_and_promises_ignore_a_timeout_option(world, call, after_ms):
    assert asked(world, call).timeout_at_ms == START_MS + after_ms


def test_a_sleep_without_end_lasts_until_the_callers_deadline(world):
    assert asked(world, lambda ctx: ctx.sleep(math.inf)).timeout_at_ms == START_MS + HOUR_MS


def test_a_timeout_without_end_lasts_until_the_callers_deadline(world):
    def call(ctx):
        return ctx.rpc("bar").options(timeout=math.inf)

    assert asked(world, call).timeout_at_ms == START_MS + HOUR_MS


def test_a_sleep_until_before_the_epoch_is_over(world):
    def call(ctx):
        return ctx.sleep(until=datetime(1900, 1, 1, tzinfo=UTC))

    assert asked(world, call).timeout_at_ms == 0


def test_a_grandchilds_deadline_is_not_after_the_childs(world):
    def child(ctx):
        yield ctx.begin_rpc("bar").options(timeout=30)

    def parent(ctx):
        yield ctx.run(child).options(timeout=10)

    world.run(parent)

    deadlines = {r.id: r.timeout_at_ms - START_MS for r in world.server.created}
    assert deadlines == {"x.1": 10_000, "x.1.1": 10_000}


def test_a_deadline_counts_from_the_call(world):
    def parent(ctx):
        world.clock.advance(60)
        yield ctx.begin_rpc("bar").options(timeout=5)

    world.run(parent)

    assert world.server.created[0].timeout_at_ms == START_MS + 65_000


# Options


def test_options_given_at_registration_are_what_calls_begin_with(world):
    world.register(leaf, options=make_options(timeout=5, tags={"team": "a"}))

    request = asked(world, lambda ctx: ctx.rpc(leaf).options(tags={"kind": "b"}))

    assert request.timeout_at_ms == START_MS + 5_000
    assert (request.tags["team"], request.tags["kind"]) == ("a", "b")


def test_options_of_one_command_do_not_reach_another(world):
    def parent(ctx):
        yield ctx.begin_rpc("bar").options(timeout=5, target="billing", tags={"team": "a"})
        yield ctx.begin_rpc("bar")

    world.run(parent)

    second = world.server.created[1]
    assert second.timeout_at_ms == START_MS + HOUR_MS
    assert second.tags[tag.TARGET] == "amqp://any@default"
    assert "team" not in second.tags


def test_two_views_of_a_context_do_not_reach_each_other(world):
    def parent(ctx):
        first = ctx.options(timeout=5, target="a")
        second = ctx.options(target="b")
        yield first.begin_rpc("bar")
        yield second.begin_rpc("bar")
        yield first.options(timeout=9).begin_rpc("bar")

    world.run(parent)

    asked_for = [(r.tags[tag.TARGET], r.timeout_at_ms - START_MS) for r in world.server.created]
    assert asked_for == [
        ("amqp://any@a", 5_000),
        ("amqp://any@b", HOUR_MS),
        ("amqp://any@a", 9_000),
    ]


# What a function is told about itself


def test_a_root_is_told_about_itself(world):
    def parent(ctx):
        assert ctx.id == ctx.info.id
        return ctx.info

    tags = {**REMOTE_ROOT, tag.IDEMPOTENCY_KEY: "k", "team": "a"}
    info = []

    def remember(ctx):
        info.append(parent(ctx))

    world.run(remember, id="top.3", tags=tags, version=4, timeout_s=10)

    (told,) = info
    assert (told.id, told.parent_id, told.origin_id, told.branch_id) == (
        "top.3",
        "top",
        "top",
        "top.3",
    )
    assert (told.func, told.version, told.attempt) == ("remember", 4, 1)
    assert told.timeout == START_MS / 1000 + 10
    assert told.tags["team"] == "a"
    assert told.idempotency_key == "k"


def test_a_local_child_is_told_about_itself(world):
    told = []

    def child(ctx):
        told.append(ctx.info)

    def parent(ctx):
        yield ctx.run(child).options(timeout=5, tags={"team": "a"}, idempotency_key="k")

    world.run(parent, id="top.3", tags=REMOTE_ROOT)

    (info,) = told
    assert (info.id, info.parent_id, info.origin_id, info.branch_id) == (
        "top.3.1",
        "top.3",
        "top",
        "top.3",
    )
    assert (info.func, info.attempt, info.timeout) == ("child", 1, START_MS / 1000 + 5)
    assert (info.tags["team"], info.idempotency_key) == ("a", "k")


def test_the_promise_of_a_local_child_is_not_sent_to_a_remote_function(world):
    def parent(ctx):
        local = yield ctx.begin_run(leaf)
        yield ctx.begin_rpc("bar", local)

    with pytest.raises(TypeError, match="Promise"):
        world.result(parent)
    assert world.server.ids == ["x.1"]


def test_a_promise_made_from_an_id_creates_nothing(world):
    def parent(ctx):
        yield Promise("elsewhere")

    assert world.awaited(parent) == ("elsewhere",)
    assert world.server.created == []
