"""Exceptions that reach a caller: the same one live, after a replay, and from elsewhere."""

import asyncio
import json

import pytest

from resonate_sdk import ApplicationError, CanceledError, DecodeError, Never, TimedOutError
from resonate_sdk.execution.effects import Failed
from resonate_sdk.protocol.records import Value
from tests.unit.sdk.execution import failing


def calling(func, *args):
    def parent(ctx):
        return (yield ctx.run(func, *args).options(retry_policy=Never()))

    return parent


def caught_from(world, func):
    """What a caller catches: live, at a replay, and when it was raised elsewhere."""
    caught = []

    def parent(ctx):
        for call in (ctx.run(func), ctx.rpc("elsewhere")):
            try:
                yield call.options(retry_policy=Never())
            except Exception as error:  # noqa: BLE001  # it is looked at
                caught.append(error)

    world.awaited(parent)
    world.server.put("x.2", "rejected", world.server.get("x.1").value)
    world.run(parent)
    live, replayed, remote = caught[0], caught[1], caught[2]
    return live, replayed, remote


def decline(ctx):
    raise failing.PaymentDeclinedError("A-1", 12.5)


def test_an_own_class_comes_back_with_its_attributes_and_arguments(world):
    for error in caught_from(world, decline):
        assert type(error) is failing.PaymentDeclinedError
        assert (error.order, error.amount) == ("A-1", 12.5)
        assert str(error) == "order A-1: 12.5 declined"


def test_a_subclass_is_caught_by_its_base(world):
    def hard(ctx):
        raise failing.HardDeclineError("A-2", 1)

    def parent(ctx):
        try:
            yield ctx.run(hard).options(retry_policy=Never())
        except failing.PaymentDeclinedError as error:
            return [type(error).__name__, error.order]

    assert world.result(parent) == ["HardDeclineError", "A-2"]
    assert world.result(parent) == ["HardDeclineError", "A-2"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("plain"),
        KeyError("key"),
        ZeroDivisionError("division by zero"),
        FileNotFoundError(2, "No such file or directory"),
        json.JSONDecodeError("bad", "doc", 1),
        failing.Outer.NestedError("nested"),
        failing.MixedError("mixed"),
        ValueError(),
        ValueError("two", 2),
        StopIteration("stop"),
        TimeoutError("slow"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_other_classes_come_back_with_their_arguments(world, error):
    def fail(ctx):
        raise error

    def parent(ctx):
        with pytest.raises(type(error)) as caught:
            yield ctx.run(fail).options(retry_policy=Never())
        assert type(caught.value) is type(error)
        assert caught.value.args == error.args
        assert str(caught.value) == str(error)
        return "seen"

    assert world.result(parent) == "seen"
    assert world.result(parent) == "seen"


def test_what_was_raised_by_the_operating_system_keeps_its_number(world):
    def fail(ctx):
        with open("/nowhere/at/all"):
            pass

    with pytest.raises(FileNotFoundError) as caught:
        world.result(calling(fail))
    assert caught.value.errno == 2


def test_a_class_nobody_can_find_becomes_an_application_error(world):
    class LocalError(Exception):
        def __init__(self):
            super().__init__("local trouble")
            self.code = 7

    def fail(ctx):
        raise LocalError

    for error in caught_from(world, fail):
        assert isinstance(error, ApplicationError)
        assert (error.name or "").endswith("LocalError")
        assert str(error) == "local trouble"
        assert error.data == {"code": 7}


def test_no_constructor_runs_when_an_exception_is_rebuilt(world):
    def fail(ctx):
        raise failing.ExpensiveError("once")

    failing.ExpensiveError.constructed = 0
    for error in caught_from(world, fail):
        assert type(error) is failing.ExpensiveError
    assert failing.ExpensiveError.constructed == 1


def test_attributes_that_json_cannot_express_are_left_out(world):
    def fail(ctx):
        raise failing.ConnectedError("db-1")

    for error in caught_from(world, fail):
        assert error.host == "db-1"
        assert not hasattr(error, "connection")


def test_the_remote_traceback_is_a_note_that_names_promise_and_function(world):
    for error in caught_from(world, decline):
        (note,) = error.__notes__
        first, *_ = note.splitlines()
        assert first in ("raised by promise 'x.1':", "raised by promise 'x.2':")
        assert "in decline" in note
        assert note.endswith("PaymentDeclinedError: order A-1: 12.5 declined")


def test_the_cause_comes_along(world):
    def fail(ctx):
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise failing.PaymentDeclinedError("A-1", 1) from error

    for error in caught_from(world, fail):
        assert type(error.__cause__) is KeyError
        assert error.__cause__.args == ("inner",)


def test_an_exception_that_causes_itself_comes_back(world):
    def fail(ctx):
        error = ValueError("circular")
        error.__cause__ = error
        raise error

    for error in caught_from(world, fail):
        assert str(error) == "circular"


def test_an_exception_that_passes_through_two_functions_keeps_its_class(world):
    def middle(ctx):
        return (yield ctx.run(decline).options(retry_policy=Never()))

    with pytest.raises(failing.PaymentDeclinedError) as caught:
        world.result(calling(middle))
    assert caught.value.order == "A-1"


def test_an_exception_without_a_text_is_not_lost(world):
    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def fail(ctx):
        raise MuteError

    with pytest.raises(ApplicationError):
        world.result(calling(fail))


# Rejections that are no exceptions


def awaiting_answer(ctx):
    return (yield (yield ctx.promise(id="answer")))


def test_a_rejection_with_data_is_an_application_error_with_that_data(world):
    world.awaited(awaiting_answer)
    world.server.reject("answer", {"reason": "too expensive"})

    with pytest.raises(ApplicationError) as caught:
        world.result(awaiting_answer)
    assert caught.value.data == {"reason": "too expensive"}


def test_an_empty_rejection_is_an_application_error(world):
    world.awaited(awaiting_answer)
    world.server.reject("answer")

    with pytest.raises(ApplicationError, match=r"^rejected") as caught:
        world.result(awaiting_answer)
    assert (str(caught.value), caught.value.data) == ("rejected", None)


def test_a_canceled_promise_is_a_canceled_error_that_names_it(world):
    world.awaited(awaiting_answer)
    world.server.put("answer", "rejected_canceled")

    with pytest.raises(CanceledError) as caught:
        world.result(awaiting_answer)
    assert caught.value.promise_id == "answer"


def test_a_deadline_is_a_timed_out_error_that_names_the_promise_and_the_deadline(world):
    def parent(ctx):
        return (yield (yield ctx.promise(id="answer", timeout=5)))

    world.awaited(parent)
    deadline = world.server.get("answer").timeout_at_ms / 1000
    world.clock.advance(5)

    with pytest.raises(TimedOutError) as caught:
        world.result(parent)
    assert (caught.value.promise_id, caught.value.timeout) == ("answer", deadline)
    assert isinstance(caught.value, TimeoutError)


def test_an_exception_given_from_outside_is_raised_as_such(world):
    world.awaited(awaiting_answer)
    world.server.reject("answer", failing.PaymentDeclinedError("A-9", 3))

    with pytest.raises(failing.PaymentDeclinedError) as caught:
        world.result(awaiting_answer)
    assert caught.value.order == "A-9"


def test_data_that_nobody_can_decode_is_raised_where_it_is_awaited(world):
    world.awaited(awaiting_answer)
    world.server.put("answer", "resolved", Value(data="not base64!"))

    with pytest.raises(DecodeError, match="not base64"):
        world.result(awaiting_answer)


# What is no result of a function


@pytest.mark.parametrize("text", ["suspended", "_Suspend", "Blocked: promise 'x' is pending"])
def test_the_text_of_an_exception_controls_nothing(world, text):
    def child(ctx):
        raise RuntimeError(text)

    def parent(ctx):
        yield ctx.run(child).options(retry_policy=Never())

    with pytest.raises(RuntimeError) as caught:
        world.result(parent)
    assert caught.value.args == (text,)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(1), asyncio.CancelledError(), GeneratorExit()]
)
@pytest.mark.parametrize("is_workflow", [False, True])
def test_what_is_no_exception_fails_the_pass_and_settles_nothing(world, error, is_workflow):
    def plain(ctx):
        raise error

    def workflow(ctx):
        yield ctx.sleep(0)
        raise error

    outcome = world.run(calling(workflow if is_workflow else plain))

    assert outcome == Failed(error)
    assert world.server.settled == []
