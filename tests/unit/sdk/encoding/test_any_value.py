"""Whatever an annotation can say: a value of it comes back as it was, and so do exceptions."""

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import make_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any, Optional
from uuid import UUID

import attrs
import msgspec
from hypothesis import given, settings, strategies as st

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.encoding.failures import decode_failure, encode_failure
from resonate_sdk.protocol.records import EMPTY, PromiseRecord

CODEC = Codec()


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 3


class Mixed(Enum):
    NOTHING = 0
    WORD = "word"


class Node(msgspec.Struct):
    name: str
    weight: float = 1.0
    children: "list[Node]" = []


# The names of infinities stand for them wherever the annotation allows a number.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
    lambda found: not found.startswith("__")
)
names = st.sampled_from(["a", "b", "c", "count", "type", "self_"])
nodes = st.recursive(
    st.builds(Node, text, st.floats(allow_nan=False)),
    lambda inner: st.builds(Node, text, st.floats(allow_nan=False), st.lists(inner, max_size=2)),
    max_leaves=4,
)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False),
    str: text,
    bytes: st.binary(max_size=8),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    Fraction: st.fractions(),
    UUID: st.uuids(),
    date: st.dates(),
    time: st.times(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    timedelta: st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000)),
    PurePosixPath: text.filter(lambda found: "\0" not in found).map(PurePosixPath),
    Color: st.sampled_from(Color),
    Level: st.sampled_from(Level),
    Mixed: st.sampled_from(Mixed),
    Node: nodes,
}
KEYS = (str, int, Color, UUID, date)
HASHABLE = (int, str, Decimal, date, Color, UUID, Fraction)

Typed = tuple[Any, st.SearchStrategy[Any]]


@st.composite
def types(draw: Any, depth: int = 3) -> Typed:
    """An annotation, and a strategy for values of it."""
    shapes = ["simple", "list", "tuple", "many", "dict", "set", "optional", "class", "attrs"]
    shapes += ["deque", "ordered", "counter"]
    shape = draw(st.sampled_from(shapes if depth else ["simple"]))
    if shape == "simple":
        type = draw(st.sampled_from(list(SIMPLE)))
        return type, SIMPLE[type]
    key = draw(st.sampled_from(KEYS if shape == "dict" else HASHABLE))
    inner, values = draw(types(depth - 1))
    match shape:
        case "list":
            return draw(st.sampled_from([list, Sequence]))[inner], st.lists(values, max_size=3)
        case "tuple":
            return tuple[inner, ...], st.lists(values, max_size=3).map(tuple)
        case "many":
            other, others = draw(types(depth - 1))
            return tuple[inner, other], st.tuples(values, others)
        case "dict":
            type = draw(st.sampled_from([dict, Mapping]))[key, inner]
            return type, st.dictionaries(SIMPLE[key], values, max_size=3)
        case "set":
            type = draw(st.sampled_from([set, frozenset]))
            return type[key], st.sets(SIMPLE[key], max_size=3).map(type)
        case "deque":
            return deque[inner], st.lists(values, max_size=3).map(deque)
        case "ordered":
            shuffled = st.lists(st.tuples(SIMPLE[str], values), max_size=3)
            return OrderedDict[str, inner], shuffled.map(OrderedDict)
        case "counter":
            return Counter[str], st.dictionaries(text, st.integers(), max_size=3).map(Counter)
        case "optional":
            return Optional[inner], st.none() | values  # noqa: UP045  # of what is known at run time
        case _:
            fields = draw(st.lists(names, min_size=1, max_size=3, unique=True))
            if shape == "class":
                cls: Any = make_dataclass("Made", [(name, inner) for name in fields])
            else:
                cls = attrs.make_class("Made", {n: attrs.field(type=inner) for n in fields})
            return cls, st.lists(values, min_size=len(fields), max_size=len(fields)).map(
                lambda given: cls(*given)
            )


@settings(derandomize=True, deadline=None, max_examples=150)
@given(types().flatmap(lambda typed: st.tuples(st.just(typed[0]), typed[1])))
def test_a_value_of_any_annotation_comes_back_as_it_was(typed):
    annotation, value = typed

    encoded = CODEC.encode(value)

    assert CODEC.decode(encoded, annotation) == value
    assert CODEC.convert(CODEC.decode(encoded), annotation) == value


@settings(derandomize=True, deadline=None, max_examples=100)
@given(types().flatmap(lambda typed: typed[1]))
def test_what_was_read_as_plain_data_is_written_as_the_same_data(value):
    """So a value that goes through a process without annotations arrives as if it had not."""
    plain = CODEC.decode(CODEC.encode(value))

    assert CODEC.decode(CODEC.encode(plain)) == plain


json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False).filter(lambda found: found != 0 or math.copysign(1, found) > 0)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
classes = st.sampled_from(
    [ValueError, KeyError, OSError, LookupError, ZeroDivisionError, UnicodeError, RuntimeError]
)
errors = st.recursive(
    st.builds(lambda cls, args: cls(*args), classes, st.lists(json, max_size=3)),
    lambda inner: st.builds(
        lambda message, errors: ExceptionGroup(message, errors),
        text,
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=5,
)


def same(one: BaseException, other: BaseException) -> bool:
    if isinstance(one, ExceptionGroup) and isinstance(other, ExceptionGroup):
        pairs = zip(one.exceptions, other.exceptions, strict=True)
        return one.message == other.message and all(same(a, b) for a, b in pairs)
    return (
        type(one) is type(other)
        and one.args == other.args
        and vars(one).keys() <= vars(other).keys() | {"data"}
    )


@settings(derandomize=True, deadline=None, max_examples=100)
@given(errors, st.dictionaries(st.sampled_from(["code", "data"]), json))
def test_any_exception_comes_back_with_class_arguments_and_attributes(error, attributes):
    vars(error).update(attributes)
    record = PromiseRecord(
        id="p",
        state="rejected",
        param=EMPTY,
        value=encode_failure(CODEC, error),
        tags={},
        timeout_at_ms=1,
        created_at_ms=0,
    )

    back = decode_failure(CODEC, record)

    assert same(error, back)
    assert {key: vars(back).get(key) for key in attributes} == attributes
