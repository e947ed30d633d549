"""What a function gets for what it yields, and which things may be called."""

from functools import partial, wraps

import pytest

from resonate_sdk import (
    CanceledError,
    Context,
    EncodeError,
    FunctionNotFoundError,
    Never,
    Promise,
    TimedOutError,
    UsageError,
)
from resonate_sdk.execution.effects import Suspended


def add(ctx, a, b=0):
    return a + b


def fail(ctx, message):
    raise LookupError(message)


# Calls give values, invocations give promises, promises give values


def test_a_call_gives_the_value(world):
    def parent(ctx):
        return (yield ctx.run(add, 1, b=2))

    assert world.result(parent) == 3


def test_an_invocation_gives_a_promise_and_the_promise_the_value(world):
    kinds = []

    def parent(ctx):
        promise = yield ctx.begin_run(add, 1, b=2)
        kinds.append((type(promise), promise.id))
        return (yield promise)

    assert world.result(parent) == 3
    assert kinds == [(Promise, "x.1")]


def test_a_promise_gives_its_value_as_often_as_it_is_yielded(world):
    def parent(ctx):
        promise = yield ctx.begin_run(add, 1)
        return [(yield promise), (yield promise), (yield Promise(promise.id))]

    assert world.result(parent) == [1, 1, 1]


def test_a_command_yielded_twice_is_one_call(world):
    def parent(ctx):
        call = ctx.run(add, 1)
        return [(yield call), (yield call)]

    assert world.result(parent) == [1, 1]
    assert world.server.ids == ["x.1"]


def test_yield_from_means_the_same_as_yield(world):
    def parent(ctx):
        value = yield from ctx.run(add, 1)
        promise = yield from ctx.begin_run(add, 2)
        return [value, promise.id, (yield from promise)]

    assert world.result(parent) == [1, "x.2", 2]


def test_a_failure_is_raised_where_the_call_is_yielded(world):
    def parent(ctx):
        try:
            yield ctx.run(fail, "gone").options(retry_policy=Never())
        except LookupError as error:
            return str(error)

    assert world.result(parent) == "gone"


def test_an_invocation_does_not_raise_its_promise_does(world):
    def parent(ctx):
        promise = yield ctx.begin_run(fail, "gone").options(retry_policy=Never())
        yield ctx.sleep(0)
        with pytest.raises(LookupError, match="gone"):
            yield promise
        return "caught at the promise"

    assert world.result(parent) == "caught at the promise"


def test_the_same_failure_is_raised_each_time_the_promise_is_yielded(world):
    def parent(ctx):
        promise = yield ctx.begin_run(fail, "gone").options(retry_policy=Never())
        for _ in range(3):
            with pytest.raises(LookupError, match="gone"):
                yield promise

    world.result(parent)


def test_a_sleep_gives_none(world):
    def parent(ctx):
        return [(yield ctx.sleep(0))]

    assert world.result(parent) == [None]


def test_a_promise_settled_before_it_is_met_gives_its_value_at_once(world):
    def parent(ctx):
        answer = yield ctx.promise(id="answer")
        return (yield answer)

    assert world.awaited(parent) == ("answer",)
    world.server.resolve("answer", {"ok": True})
    assert world.result(parent) == {"ok": True}


@pytest.mark.parametrize(
    ("state", "error"),
    [("rejected_canceled", CanceledError), ("rejected_timedout", TimedOutError)],
)
def test_a_canceled_or_timed_out_promise_raises_what_names_it(world, state, error):
    def parent(ctx):
        with pytest.raises(error) as caught:
            yield (yield ctx.promise(id="answer"))
        return caught.value.promise_id

    world.run(parent)
    world.server.put("answer", state)

    assert world.result(parent) == "answer"


def test_a_promise_may_be_handed_to_a_local_child_and_awaited_there(world):
    def child(ctx, promise):
        return (yield promise) * 2

    def parent(ctx):
        first = yield ctx.begin_run(add, 4)
        return (yield ctx.run(child, first))

    assert world.result(parent) == 8


def test_a_pending_promise_handed_to_a_local_child_suspends_the_pass_there(world):
    def child(ctx, promise):
        return (yield promise) * 2

    def parent(ctx):
        answer = yield ctx.promise()
        return (yield ctx.run(child, answer))

    assert world.awaited(parent) == ("x.1",)
    world.server.resolve("x.1", 21)
    assert world.result(parent) == 42


def test_a_detached_execution_may_be_awaited(world):
    def parent(ctx):
        return (yield (yield ctx.detached("leaf").options(id="free")))

    assert world.awaited(parent) == ("free",)
    world.server.resolve("free", 1)
    assert world.result(parent) == 1


def test_the_names_of_the_first_sdks_mean_the_same():
    assert (Context.lfc, Context.lfi) == (Context.run, Context.begin_run)
    assert (Context.rfc, Context.rfi) == (Context.rpc, Context.begin_rpc)


# What may be called


class Adder:
    def __init__(self, base):
        self.base = base

    def __call__(self, ctx, a):
        return self.base + a

    def method(self, ctx, a):
        return self.base + a


def logged(func):
    @wraps(func)
    def wrapper(ctx, *args, **kwargs):
        return func(ctx, *args, **kwargs)

    return wrapper


@logged
def decorated_leaf(ctx, a):
    return 10 + a


@logged
def decorated_workflow(ctx, a):
    return (yield ctx.run(add, a, 10))


def workflow(ctx, a):
    return (yield ctx.run(add, a, 10))


def scaled(ctx, factor, a):
    return factor * a


def returns_a_generator(ctx, a):
    return workflow(ctx, a)


@pytest.mark.parametrize(
    "func",
    [
        partial(add, b=10),
        lambda ctx, a: a + 10,
        Adder(10),
        Adder(10).method,
        decorated_leaf,
        decorated_workflow,
        workflow,
        returns_a_generator,
        partial(workflow),
    ],
    ids=[
        "partial",
        "lambda",
        "object",
        "method",
        "decorated leaf",
        "decorated workflow",
        "workflow",
        "function that returns a generator",
        "partial workflow",
    ],
)
def test_any_callable_can_be_run(world, func):
    def parent(ctx):
        return (yield ctx.run(func, 5))

    assert world.result(parent) == 15
    assert world.result(func, 5, id="root") == 15


def test_the_kind_is_decided_by_what_the_call_returns(world):
    def either(ctx, is_workflow):
        return workflow(ctx, 1) if is_workflow else "plain"

    def parent(ctx):
        return [(yield ctx.run(either, True)), (yield ctx.run(either, False))]

    assert world.result(parent) == [11, "plain"]


def test_a_registered_function_can_be_run_by_its_name(world):
    world.register(add, name="sum")

    def parent(ctx):
        return (yield ctx.run("sum", 1, 2))

    assert world.result(parent) == 3


@pytest.mark.parametrize(("version", "found"), [(1, "old"), (2, "new"), (0, "new"), (None, "new")])
def test_of_several_versions_that_is_run_which_the_call_names(world, version, found):
    world.register(lambda ctx: "old", name="report", version=1)
    world.register(lambda ctx: "new", name="report", version=2)

    def parent(ctx):
        return (yield ctx.run("report").options(version=version))

    assert world.result(parent) == found


def test_arguments_of_local_calls_are_the_objects_themselves(world):
    thing = object()

    def child(ctx, found, key=None):
        assert found is thing
        assert key is thing

    def parent(ctx):
        yield ctx.run(child, thing, key=thing)

    world.result(parent)


def test_dependencies_are_found_by_key_and_by_type(world):
    class Database:
        pass

    database = Database()
    world.dependencies.update({"db": database, Database: database})

    def child(ctx):
        return ctx.get_dependency("db") is ctx.get_dependency(Database) is database

    def parent(ctx):
        missing = ctx.get_dependency("nothing"), ctx.get_dependency("nothing", 7)
        with pytest.raises(LookupError, match="int"):
            ctx.get_dependency(int)
        return [(yield ctx.run(child)), *missing]

    assert world.result(parent) == [True, None, 7]


# What is refused where it is written


def test_arguments_that_do_not_fit_are_refused_before_a_promise_is_made(world):
    world.register(add)

    def parent(ctx):
        errors = []
        for call in (ctx.run, ctx.begin_run, ctx.rpc, ctx.begin_rpc, ctx.detached):
            with pytest.raises(UsageError) as missing:
                call(add)
            with pytest.raises(UsageError) as unexpected:
                call(add, 1, c=3)
            errors += [str(missing.value), str(unexpected.value)]
        yield ctx.sleep(0)
        return errors

    errors = world.result(parent)
    assert set(errors) == {
        "add(ctx, ...): missing a required argument: 'a'",
        "add(ctx, ...): got an unexpected keyword argument 'c'",
    }
    assert world.server.ids == ["x.1"]


@pytest.mark.parametrize("kind", ["rpc", "begin_rpc", "detached"])
def test_a_function_object_that_is_not_registered_cannot_be_called_elsewhere(world, kind):
    def registered_under_that_name(ctx):
        return None

    world.register(registered_under_that_name, name="add")

    def parent(ctx):
        getattr(ctx, kind)(add, 1)
        yield

    with pytest.raises(FunctionNotFoundError, match="add is not registered here"):
        world.result(parent)
    assert world.server.ids == []


def test_an_unknown_name_cannot_be_run_here(world):
    world.register(add, name="sum")

    def parent(ctx):
        yield ctx.run("product", 1)

    with pytest.raises(FunctionNotFoundError, match=r"product is not registered.*sum"):
        world.result(parent)


def test_an_unknown_name_may_be_called_elsewhere(world):
    def parent(ctx):
        yield ctx.rpc("somebody-elses", 1)

    assert isinstance(world.run(parent), Suspended)


def test_a_promise_that_somebody_else_settles_is_an_argument_of_a_remote_call(world):
    def parent(ctx):
        price = yield ctx.begin_rpc("price")
        approval = yield ctx.promise()
        pause = yield ctx.begin_run(add, 1)
        yield ctx.begin_rpc("order", price, wait_for=[approval])
        yield ctx.begin_run(takes_live, pause)

    def takes_live(ctx, promise):
        return (yield promise)

    world.run(parent)

    call = world.server.call("x.4")
    assert call["args"] == [{"__type": "promise", "id": "x.1"}]
    assert call["kwargs"] == {"wait_for": [{"__type": "promise", "id": "x.2"}]}
    assert world.server.value("x.5") == world.server.value("x.3")


def test_a_promise_of_a_local_call_cannot_be_passed_to_a_remote_one(world):
    def parent(ctx):
        local = yield ctx.begin_run(add, 1)
        yield ctx.rpc("bar", 1, {"it": local})

    with pytest.raises(
        EncodeError,
        match=r"^argument 2 of bar: nobody else can wait for Promise\('x.1'\), which this execution "
        r"runs itself: begin it with ctx.begin_rpc, or pass on its value",
    ):
        world.result(parent)
