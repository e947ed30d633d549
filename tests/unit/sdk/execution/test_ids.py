"""Which promise a call makes: by its place in the function, or by the id it is given."""

from hashlib import blake2b

import pytest

from resonate_sdk import UsageError
from resonate_sdk.protocol import tags as tag


def leaf(ctx, value=None):
    return value


def hashed(id):
    return blake2b(id.encode(), digest_size=8).hexdigest()


def test_children_are_numbered_from_one_in_the_order_of_the_calls(world):
    def parent(ctx):
        yield ctx.run(leaf)
        yield ctx.begin_run(leaf)
        yield ctx.promise(id="somebody-elses")
        yield ctx.sleep(0)

    world.drive(world.start(parent))

    assert world.server.ids == ["x.1", "x.2", "somebody-elses", "x.4"]


def test_the_number_is_taken_by_the_call_not_by_the_yield(world):
    def parent(ctx):
        first, second = ctx.run(leaf, "first"), ctx.run(leaf, "second")
        return [(yield second), (yield first)]

    assert world.result(parent) == ["second", "first"]
    assert world.server.ids == ["x.2", "x.1"]
    assert world.server.value("x.1") == "first"


def test_a_command_that_is_never_yielded_takes_its_number_along(world):
    def parent(ctx):
        ctx.run(leaf)
        yield ctx.run(leaf)

    world.run(parent)

    assert world.server.ids == ["x.2"]


@pytest.mark.parametrize(
    "call",
    [
        lambda ctx: ctx.run(leaf),
        lambda ctx: ctx.begin_run(leaf),
        lambda ctx: ctx.rpc("leaf"),
        lambda ctx: ctx.begin_rpc("leaf"),
        lambda ctx: ctx.detached("leaf"),
        lambda ctx: ctx.sleep(1),
        lambda ctx: ctx.promise(),
        lambda ctx: ctx.promise(id="given"),
        lambda ctx: ctx.run(leaf).options(id="given"),
        lambda ctx: ctx.rpc("leaf").options(id="given"),
        lambda ctx: ctx.detached("leaf").options(id="given"),
        lambda ctx: ctx.options(timeout=5).run(leaf),
    ],
)
def test_every_construct_takes_one_number(world, call):
    def parent(ctx):
        call(ctx)
        yield ctx.run(leaf)

    world.run(parent)

    assert world.server.ids == ["x.2"]


def test_children_of_a_local_child_are_numbered_under_its_id(world):
    def child(ctx):
        yield ctx.run(leaf)
        yield ctx.run(leaf)

    def parent(ctx):
        yield ctx.run(leaf)
        yield ctx.run(child)

    world.run(parent)

    assert world.server.ids == ["x.1", "x.2", "x.2.1", "x.2.2"]


def test_an_explicit_id_is_used_verbatim(world):
    def parent(ctx):
        yield ctx.run(leaf).options(id="order/17:retry_1-a.b")
        yield ctx.run(leaf)

    world.run(parent)

    assert world.server.ids == ["order/17:retry_1-a.b", "x.2"]


def test_one_explicit_id_twice_in_a_function_is_one_promise_that_runs_once(world):
    runs = []

    def counted(ctx):
        runs.append(ctx.id)
        return len(runs)

    def parent(ctx):
        first = yield ctx.run(counted).options(id="once")
        second = yield ctx.run(counted).options(id="once")
        return [first, second]

    assert world.result(parent) == [1, 1]
    assert runs == ["once"]


def test_one_explicit_id_in_two_siblings_is_one_promise_that_runs_once(world):
    runs = []

    def counted(ctx):
        runs.append(ctx.id)
        return len(runs)

    def sibling(ctx):
        return (yield ctx.run(counted).options(id="shared"))

    def parent(ctx):
        first = yield ctx.begin_run(sibling)
        second = yield ctx.begin_run(sibling)
        return [(yield first), (yield second)]

    assert world.result(parent) == [1, 1]
    assert runs == ["shared"]


def test_one_explicit_id_in_two_executions_is_one_promise_that_runs_once(world):
    runs = []

    def counted(ctx):
        runs.append(ctx.id)
        return len(runs)

    def parent(ctx):
        return (yield ctx.run(counted).options(id="shared"))

    assert world.result(parent, id="x", is_preloaded=False) == 1
    assert world.result(parent, id="y", is_preloaded=False) == 1
    assert runs == ["shared"]


def test_local_and_remote_calls_may_share_an_explicit_id(world):
    runs = []

    def counted(ctx):
        runs.append(ctx.id)
        return len(runs)

    def parent(ctx):
        first = yield ctx.run(counted).options(id="shared")
        second = yield ctx.rpc("counted").options(id="shared")
        return [first, second]

    assert world.result(parent) == [1, 1]
    assert runs == ["shared"]


@pytest.mark.parametrize("second", ["run", "rpc"])
def test_one_explicit_id_of_two_functions_is_refused(world, second):
    def other(ctx):
        return "the other one"

    def parent(ctx):
        yield ctx.run(leaf, 1).options(id="shared")
        try:
            yield getattr(ctx, second)("other").options(id="shared")
        except UsageError as error:
            return str(error)

    world.register(other)

    refused = world.result(parent)

    assert "the id 'shared' was given to ctx.run(leaf, ...)" in refused
    assert world.server.ids == ["shared"]


def test_detached_executions_are_named_after_the_first_root_by_a_hash_of_their_place(world):
    def parent(ctx):
        first = yield ctx.detached("leaf")
        second = yield ctx.detached("leaf")
        return [first.id, second.id]

    assert world.result(parent) == [f"x.d{hashed('x.1')}", f"x.d{hashed('x.2')}"]


def test_a_chain_of_detached_executions_does_not_grow_ids(world):
    def link(ctx):
        return (yield ctx.detached("link")).id

    id, ids = "x", ["x"]
    for _ in range(20):
        id = world.result(link, id=id)
        ids.append(id)

    assert len(set(ids)) == 21
    assert {len(id) for id in ids[1:]} == {len("x.d") + 16}
    assert all(world.server.get(id).tags[tag.PREFIX] == "x" for id in ids)


def test_the_id_of_a_detached_execution_may_come_first_as_in_the_first_sdks(world, caplog):
    world.register(lambda ctx, n: n, name="step")
    step = world.registry.by_name("step").callee.func

    def parent(ctx):
        promise = yield ctx.detached("mine", step, 5)
        return promise.id

    assert world.result(parent) == "mine"
    assert "ctx.detached(id, function, ...) is the old form" in caplog.text


def test_a_detached_execution_may_be_given_an_id(world):
    def parent(ctx):
        return (yield ctx.detached("leaf").options(id="mail-7")).id

    assert world.result(parent) == "mail-7"
    assert world.server.ids == ["mail-7"]


@pytest.mark.parametrize("kind", ["run", "begin_run", "rpc", "begin_rpc", "sleep", "promise"])
def test_the_id_of_a_command_is_known_before_it_is_yielded(world, kind):
    seen = []

    def parent(ctx):
        argument = {"sleep": 1, "promise": None}.get(kind, leaf)
        op = getattr(ctx, kind)(*([] if argument is None else [argument]))
        seen.append(op.id)
        yield op

    world.register(leaf)
    world.run(parent)

    assert seen == world.server.ids


def test_the_id_of_a_detached_command_is_known_before_it_is_yielded(world):
    def parent(ctx):
        op = ctx.detached("leaf")
        return [op.id, (yield op).id]

    before, after = world.result(parent)

    assert before == after


def test_views_of_a_context_share_its_count(world):
    def parent(ctx):
        short, long = ctx.options(timeout=1), ctx.options(timeout=100)
        yield short.run(leaf)
        yield long.run(leaf)
        yield ctx.run(leaf)

    world.run(parent)

    assert world.server.ids == ["x.1", "x.2", "x.3"]


def test_a_refused_call_does_not_disturb_the_numbers_of_a_replay(world):
    def needs_two(ctx, a, b):
        return a + b

    def parent(ctx):
        try:
            yield ctx.run(needs_two, 1)
        except TypeError:
            pass
        return (yield ctx.run(needs_two, 1, 2))

    assert world.result(parent) == 3
    first, _ = world.server.ids, world.server.forget_journal()
    assert world.result(parent) == 3
    assert len(first) == 1
    assert world.server.ids == []
