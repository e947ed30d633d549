"""Values: what a caller gets is what it would get after a crash."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest

from resonate_sdk import DecodeError, EncodeError, Never, Workflow
from resonate_sdk.execution.effects import Done


@dataclass
class Item:
    name: str
    price: float


@dataclass
class Order:
    id: int
    items: list[Item]
    note: str | None = None


class Point(NamedTuple):
    x: int
    y: int


class Color(Enum):
    RED = "red"


class Address(TypedDict):
    city: str


class Receipt(msgspec.Struct):
    total: float


ORDER = Order(1, [Item("tea", 2.5), Item("milk", 1.0)])


def live_and_replayed(world, func, **options):
    """What a caller gets when the child has just run, and when it is served from the record."""
    got = []

    def parent(ctx):
        got.append((yield ctx.run(func).options(retry_policy=Never(), **options)))
        yield ctx.rpc("bar")

    world.awaited(parent)
    world.awaited(parent)
    live, replayed = got
    assert type(live) is type(replayed)
    assert live == replayed
    return live


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ((1, 2), [1, 2]),
        ([(1, 2), {"a": (3,)}], [[1, 2], {"a": [3]}]),
        ({3}, [3]),
        (frozenset({3}), [3]),
        (
            ORDER,
            {
                "id": 1,
                "items": [{"name": "tea", "price": 2.5}, {"name": "milk", "price": 1.0}],
                "note": None,
            },
        ),
        (Point(1, 2), [1, 2]),
        (Color.RED, "red"),
        (Receipt(3.0), {"total": 3.0}),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"ab", "YWI="),
        (timedelta(seconds=90), "PT90S"),
        (None, None),
        (True, True),
        ("", ""),
        (2**70, 2**70),
        (math.inf, math.inf),
        ({"a": -math.inf}, {"a": -math.inf}),
        ((math.inf,), [math.inf]),
    ],
    ids=repr,
)
def test_without_an_annotation_a_value_comes_back_as_plain_json(world, value, got):
    def child(ctx):
        return value

    assert live_and_replayed(world, child) == got


def annotated(value, annotation):
    """A function that returns a value, annotated like that."""

    def child(ctx):
        return value

    child.__annotations__["return"] = annotation
    return child


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ((1, 2), tuple[int, ...]),
        ((1, "a"), tuple[int, str]),
        ({3}, set[int]),
        (ORDER, Order),
        ([ORDER], list[Order]),
        ({"first": ORDER}, dict[str, Order]),
        (ORDER, Order | None),
        (None, Order | None),
        (Point(1, 2), Point),
        (Color.RED, Color),
        (Receipt(3.0), Receipt),
        ({"city": "Paris"}, Address),
        (datetime(2026, 1, 2, tzinfo=UTC), datetime),
        (timedelta(seconds=90), timedelta),
        (UUID(int=1), UUID),
        (b"ab", bytes),
        ({1: "a"}, dict[int, str]),
        ({1: math.inf}, dict[int, float]),
        ((1, 2), Any),
    ],
    ids=lambda found: getattr(found, "__name__", repr(found)),
)
def test_an_annotation_brings_the_type_back(world, value, annotation):
    got = live_and_replayed(world, annotated(value, annotation))

    if annotation is Any:
        assert got == [1, 2]
    else:
        assert got == value
        assert type(got) is type(value)


def test_an_integer_becomes_the_float_that_is_annotated(world):
    got = live_and_replayed(world, annotated(1, float))

    assert type(got) is float


def test_a_workflows_annotation_is_that_of_its_result(world):
    def child(ctx) -> Workflow[Order]:
        yield ctx.sleep(0)
        return ORDER

    assert live_and_replayed(world, child) == ORDER


def test_a_type_may_be_given_with_the_call(world):
    world.register(lambda ctx: ORDER, name="order")

    def parent(ctx):
        by_name = yield ctx.run("order").options(type=Order)
        answer = yield ctx.promise(id="answer", type=Order)
        remote = yield ctx.begin_rpc("order").options(type=Order)
        assert by_name == ORDER
        assert (yield answer) == ORDER
        assert (yield remote) == ORDER

    world.run(parent)
    world.server.resolve("answer", ORDER)
    world.run(parent)
    world.server.resolve("x.3", ORDER)

    world.result(parent)


@pytest.mark.parametrize(
    ("value", "annotation"), [("1", int), (True, int), ({"name": "tea"}, Item), ([1], str)]
)
def test_a_value_that_does_not_fit_its_annotation_is_told_live_as_at_a_replay(
    world, value, annotation
):
    errors = []

    def parent(ctx):
        try:
            yield ctx.run(annotated(value, annotation))
        except DecodeError as error:
            errors.append(str(error))
        yield ctx.rpc("bar")

    world.awaited(parent)
    world.awaited(parent)

    assert len(errors) == 2
    assert errors[0] == errors[1]
    assert errors[0].startswith("the result of child, promise 'x.1': the stored data does")


def test_an_answer_that_does_not_fit_is_told_with_the_promise_that_has_it(world):
    def asks(ctx):
        question = yield ctx.promise(id="question", type=Order)
        with pytest.raises(DecodeError, match=r"^promise 'question': .*missing required field"):
            yield question
        return "told"

    world.run(asks)
    world.server.resolve("question", {})

    assert world.result(asks) == "told"


def test_the_value_of_a_root_is_its_plain_json(world):
    def root(ctx):
        return ORDER

    outcome = world.run(root)

    assert world.outcome_of(outcome, Order) == ORDER


# What cannot be stored


class Handle:
    """A thing with no JSON form."""


UNSTORABLE = [
    Handle(),
    lambda: None,
    math.nan,
    {"a": [math.nan]},
    (math.nan,),
    "\udcff",
    {(1, 2): 3},
]


@pytest.mark.parametrize("value", UNSTORABLE, ids=lambda value: type(value).__name__)
def test_a_result_that_cannot_be_stored_rejects_the_promise(world, value):
    runs = []

    def child(ctx):
        runs.append(1)
        return value

    def parent(ctx):
        with pytest.raises(EncodeError, match="cannot be stored"):
            yield ctx.run(child)
        return "told"

    assert world.result(parent) == "told"
    assert world.result(parent) == "told"
    assert runs == [1]
    with pytest.raises(EncodeError, match="cannot be stored"):
        world.result(child, id="root")


@pytest.mark.parametrize("value", UNSTORABLE, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("kind", ["rpc", "begin_rpc", "detached"])
def test_an_argument_that_cannot_be_stored_is_told_where_it_is_given(world, value, kind):
    def parent(ctx):
        with pytest.raises(EncodeError, match="cannot be stored"):
            yield getattr(ctx, kind)("bar", 1, key=value)
        return "told"

    assert world.result(parent) == "told"
    assert world.server.ids == []


def test_the_data_of_a_promise_that_cannot_be_stored_is_told(world):
    def parent(ctx):
        with pytest.raises(EncodeError):
            yield ctx.promise(data=Handle())
        return "told"

    assert world.result(parent) == "told"


class Moody:
    """A model whose own code fails when it is dumped."""

    def model_dump(self, mode):
        raise RuntimeError("not in the mood")


def test_a_result_whose_own_code_fails_when_it_is_stored_rejects_the_promise(world):
    def child(ctx):
        return Moody()

    outcome = world.run(child)

    assert isinstance(outcome, Done)
    assert outcome.state == "rejected"


@dataclass
class Checked:
    """A type whose own code fails when it is made."""

    value: int

    def __post_init__(self):
        raise LookupError("not in the mood")


def test_a_result_whose_own_code_fails_when_it_is_read_is_raised_in_the_body(world):
    def parent(ctx):
        with pytest.raises((LookupError, DecodeError)):
            yield ctx.run(annotated({"value": 1}, Checked))
        return "told"

    assert world.result(parent) == "told"


# What is too large: a value has at most 1 MiB where it is stored, as base64

FITS = "x" * (1024 * 1024 * 3 // 4 - 2)
TOO_LARGE = FITS + "xx"


def test_a_value_of_one_mebibyte_fits(world):
    def child(ctx):
        return FITS

    def parent(ctx):
        value = yield ctx.run(child)
        return len(value)

    assert world.result(parent) == len(FITS)


def test_a_larger_result_rejects_the_promise_with_advice(world):
    def child(ctx):
        return TOO_LARGE

    def parent(ctx):
        with pytest.raises(EncodeError, match=r"the limit is 1048576: .*pass a reference"):
            yield ctx.run(child)
        return "told"

    assert world.result(parent) == "told"
    assert world.result(parent) == "told"


def test_a_larger_argument_is_told_where_it_is_given(world):
    def parent(ctx):
        with pytest.raises(EncodeError, match="the limit is 1048576"):
            yield ctx.rpc("bar", TOO_LARGE)
        with pytest.raises(EncodeError, match="the limit is 1048576"):
            yield ctx.promise(data=TOO_LARGE)
        return len((yield ctx.run(lambda ctx, text: text[:3], TOO_LARGE)))

    assert world.result(parent) == 3


def test_a_larger_result_of_a_root_rejects_it(world):
    def root(ctx):
        return TOO_LARGE

    with pytest.raises(EncodeError, match="the limit is 1048576"):
        world.result(root)
