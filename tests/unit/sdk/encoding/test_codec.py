"""Values on the wire: base64 of JSON, with the types of annotations."""

import base64
import math
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple, NewType, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, settings, strategies as st

from resonate_sdk.encoding.codec import Codec
from resonate_sdk.errors import DecodeError, EncodeError, UsageError
from resonate_sdk.protocol.records import EMPTY, Value

CODEC = Codec()


def stored(text):
    """A value whose data is this text."""
    return Value(data=base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode())


def json_of(value):
    """The JSON that a value is stored as."""
    encoded = CODEC.encode(value)
    assert encoded.data is not None
    return base64.b64decode(encoded.data).decode()


def round_trip(value, type: Any = Any):
    return CODEC.decode(CODEC.encode(value), type)


@dataclass
class Line:
    name: str
    amount: Decimal


@dataclass
class Invoice:
    number: int
    lines: list[Line]
    due: date | None = None
    labels: dict[str, str] = field(default_factory=dict)


class Item(msgspec.Struct):
    name: str
    parent: "Item | None" = None


class Point(NamedTuple):
    x: int
    y: float


class City(TypedDict):
    name: str


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


INVOICE = Invoice(7, [Line("tea", Decimal("2.50"))], date(2026, 1, 2), {"a": "b"})


# JSON


def test_data_is_padded_base64_of_json_in_the_standard_alphabet():
    assert CODEC.encode({"a": "ÿ~~"}).data == base64.b64encode('{"a":"ÿ~~"}'.encode()).decode()


def test_none_is_the_empty_value():
    assert CODEC.encode(None) == EMPTY


@pytest.mark.parametrize("value", [EMPTY, Value(data=""), Value(data=None), stored("null")])
@pytest.mark.parametrize("type", [Any, int, Invoice, None])
def test_an_absent_value_and_null_are_none(value, type):
    assert CODEC.decode(value, type) is None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(derandomize=True, deadline=None)
@given(json_values)
def test_plain_json_comes_back_as_it_was(value):
    assert round_trip(value) == value


@pytest.mark.parametrize("number", [2**53 + 1, -(2**63), 2**64, 10**100, -(10**100)])
@pytest.mark.parametrize("type", [Any, int])
def test_integers_of_any_size_come_back(number, type):
    assert round_trip(number, type) == number
    assert json_of(number) == str(number)


# Infinities and NaN


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (math.inf, '"__INF__"'),
        (-math.inf, '"__NEG_INF__"'),
        ([1, math.inf], '[1,"__INF__"]'),
        ((1, math.inf), '[1,"__INF__"]'),
        ({"a": {"b": -math.inf}}, '{"a":{"b":"__NEG_INF__"}}'),
        ({math.inf}, '["__INF__"]'),
        ([None, math.inf], '[null,"__INF__"]'),
        (Point(1, math.inf), '[1,"__INF__"]'),
        ([(math.inf,)], '[["__INF__"]]'),
        ({"a": (math.inf,)}, '{"a":["__INF__"]}'),
    ],
    ids=repr,
)
def test_infinities_have_names(value, json):
    assert json_of(value) == json


@pytest.mark.parametrize(
    ("value", "type"),
    [
        (math.inf, float),
        (-math.inf, Any),
        ([math.inf, -math.inf, 1.5], list[float]),
        ((math.inf, 1.0), tuple[float, ...]),
        (Point(1, -math.inf), Point),
        ({"a": math.inf}, dict[str, float]),
        ({1: math.inf}, dict[int, float]),
        ("__INF__", str),
        (["__NEG_INF__"], list[str]),
    ],
    ids=repr,
)
def test_infinities_come_back(value, type):
    assert round_trip(value, type) == value


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        [math.nan],
        (math.nan,),
        {"a": math.nan},
        {"a": [(1, math.nan)]},
        {math.nan},
        Point(1, math.nan),
        [None, math.nan],
        [math.inf, math.nan],
    ],
    ids=repr,
)
def test_nan_cannot_be_stored(value):
    with pytest.raises(EncodeError, match="NaN"):
        CODEC.encode(value)


def test_the_word_null_in_a_text_does_not_matter():
    assert round_trip({"null": ["null", None, (1, "null")]}) == {
        "null": ["null", None, [1, "null"]]
    }


# Types that have a JSON form


@pytest.mark.parametrize(
    ("value", "json"),
    [
        ((1, 2), "[1,2]"),
        ({3}, "[3]"),
        (frozenset({3}), "[3]"),
        (Item("a"), '{"name":"a","parent":null}'),
        (Point(1, 2.5), "[1,2.5]"),
        (Color.RED, '"red"'),
        (Level.HIGH, "3"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '"2026-01-02T03:04:05Z"'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (time(3, 4), '"03:04:00"'),
        (timedelta(minutes=1, milliseconds=500), '"PT60.5S"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Decimal("1.10"), '"1.10"'),
        (Path("/tmp/a"), '"/tmp/a"'),
        (b"ab", '"YWI="'),
        (
            INVOICE,
            '{"number":7,"lines":[{"name":"tea","amount":"2.50"}],"due":"2026-01-02",'
            '"labels":{"a":"b"}}',
        ),
    ],
    ids=lambda found: type(found).__name__,
)
def test_what_is_not_json_itself_has_a_json_form(value, json):
    assert json_of(value) == json


@pytest.mark.parametrize(
    ("value", "type"),
    [
        ((1, 2), tuple[int, ...]),
        ({3}, set[int]),
        (frozenset({3}), frozenset[int]),
        (Item("a", Item("b")), Item),
        (Point(1, 2.5), Point),
        (Color.RED, Color),
        (Level.HIGH, Level),
        (datetime(2026, 1, 2, tzinfo=UTC), datetime),
        (datetime(2026, 1, 2), datetime),  # noqa: DTZ001  # naive ones exist
        (date(2026, 1, 2), date),
        (time(3, 4), time),
        (timedelta(minutes=1), timedelta),
        (UUID(int=1), UUID),
        (Decimal("1.10"), Decimal),
        (PurePosixPath("/tmp/a"), PurePosixPath),
        (Path("/tmp/a"), Path),
        (b"ab", bytes),
        (INVOICE, Invoice),
        ([INVOICE], list[Invoice]),
        ({"x": [Point(1, 2.0)]}, dict[str, list[Point]]),
        ({1: "a"}, dict[int, str]),
        ({"name": "Paris"}, City),
        (None, int | None),
        (5, int | None),
        (Item("a"), Item | None),
    ],
    ids=lambda found: getattr(found, "__name__", type(found).__name__),
)
@pytest.mark.parametrize("way", ["decode", "convert"])
def test_an_annotation_brings_a_type_back(value, type, way):
    """`decode` is the way of results, `convert` that of arguments."""
    if way == "decode":
        back = round_trip(value, type)
    else:
        back = CODEC.convert(round_trip(value), type)

    assert back == value
    assert back.__class__ is value.__class__


def test_pydantic_models_come_back():
    class Model(pydantic.BaseModel):
        number: int
        inner: list["Model"] = []

    model = Model(number=1, inner=[Model(number=2)])

    assert round_trip(model) == {"number": 1, "inner": [{"number": 2, "inner": []}]}
    assert round_trip({"m": [model]})["m"][0]["number"] == 1
    assert round_trip(model, Model) == model
    assert round_trip([model], list[Model]) == [model]
    assert CODEC.convert(round_trip(model), Model) == model


def test_attrs_classes_come_back():
    cls = attrs.make_class("Thing", {"number": attrs.field(type=int)})

    assert round_trip(cls(1)) == {"number": 1}
    assert round_trip(cls(1), cls) == cls(1)


# Strictness


@pytest.mark.parametrize(
    ("value", "type"),
    [
        ("1", int),
        (True, int),
        (1.5, int),
        (1, str),
        (1, bool),
        ("true", bool),
        ({"number": "7", "lines": []}, Invoice),
        ({"lines": []}, Invoice),
        ([1, "two"], list[int]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("way", ["decode", "convert"])
def test_what_does_not_fit_is_not_bent(value, type, way):
    with pytest.raises(DecodeError):
        round_trip(value, type) if way == "decode" else CODEC.convert(value, type)


def test_an_integer_fits_a_float():
    assert round_trip(1, float) == 1.0
    assert type(round_trip(1, float)) is float
    assert type(CODEC.convert(1, float)) is float


def test_a_mismatch_names_its_place():
    wrong = {"number": 7, "lines": [{"name": "tea", "amount": "2.50"}, {"name": 3, "amount": "1"}]}

    with pytest.raises(DecodeError, match=r"\$\.lines\[1\]\.name"):
        round_trip(wrong, Invoice)
    with pytest.raises(DecodeError, match=r"\$\.lines\[1\]\.name"):
        CODEC.convert(wrong, Invoice)


@pytest.mark.parametrize("type", [Any, None, type(None), object])
def test_no_annotation_leaves_plain_data_alone(type):
    assert round_trip({"a": [1, "x"]}, type) == {"a": [1, "x"]}
    assert CODEC.convert({"a": [1, "x"]}, type) == {"a": [1, "x"]}


# Damaged data


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Value(data="!!!"), "not base64"),
        (Value(data="IjEi\n"), "not base64"),
        (Value(data=" IjEi"), "not base64"),
        (Value(data="IjE"), "not base64"),
        (Value(data="é"), "not base64"),
        (Value(data="IjEi-_"), "not base64"),
        (stored("{"), "not JSON"),
        (stored("NaN"), "not JSON"),
        (stored(b'"\xff"'), "not JSON"),
        (stored("[1] trailing"), "not JSON"),
    ],
    ids=lambda found: repr(found)[-24:],
)
def test_damaged_data_is_a_decode_error_that_says_what_is_wrong(value, message):
    with pytest.raises(DecodeError, match=message):
        CODEC.decode(value)
    for type in (int, Invoice):
        with pytest.raises(DecodeError):
            CODEC.decode(value, type)


def test_data_nested_beyond_reason_is_a_decode_error():
    with pytest.raises(DecodeError):
        CODEC.decode(stored("[" * 100_000 + "]" * 100_000))


def test_a_value_nested_beyond_reason_is_an_encode_error():
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]

    with pytest.raises(EncodeError):
        CODEC.encode(nested)
    while nested:  # taken apart by hand: its destructor would recurse
        nested = nested[0]


def test_an_unknown_codec_is_a_decode_error_not_garbage():
    value = Value(data=stored("1").data, headers={"resonate:codec": "protobuf.v3"})

    with pytest.raises(DecodeError, match=r"protobuf\.v3"):
        CODEC.decode(value)


# What cannot be stored


class Thing:
    def __repr__(self) -> str:
        return "Thing()"  # the same in every process that runs tests


@pytest.mark.parametrize(
    "value",
    [Thing(), [Thing()], {"a": Thing()}, len, ValueError("x"), iter([1]), {(1, 2): 3}, "\ud800"],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_json_form_is_an_encode_error_that_names_the_type(value):
    with pytest.raises(EncodeError, match="cannot be stored as JSON") as caught:
        CODEC.encode(value)
    assert isinstance(caught.value, TypeError)


def test_only_what_a_class_of_the_program_has_raised_is_a_cause():
    """What a library says is in our sentence."""

    class Moody:
        def model_dump(self, mode: str) -> None:
            raise LookupError("not in the mood")

    @dataclass
    class Choosy:
        number: int

        def __post_init__(self) -> None:
            raise ValueError("none will do")

    with pytest.raises(EncodeError) as unknown:
        CODEC.encode(Thing())
    with pytest.raises(EncodeError) as moody:
        CODEC.encode(Moody())
    with pytest.raises(DecodeError) as misfit:
        CODEC.convert({"number": "x"}, Invoice)
    with pytest.raises(DecodeError) as choosy:
        CODEC.convert({"number": 1}, Choosy)
    with pytest.raises(DecodeError) as part:
        CODEC.convert({"a": {"number": 1}}, OrderedDict[str, Choosy])
    with pytest.raises(DecodeError) as plain_part:
        CODEC.convert({"a": "b"}, Counter[str])

    assert unknown.value.__cause__ is misfit.value.__cause__ is plain_part.value.__cause__ is None
    assert isinstance(moody.value.__cause__, LookupError)
    assert isinstance(choosy.value.__cause__, ValueError)
    assert str(part.value.__cause__) == "none will do"


def test_the_error_names_the_inner_type_and_what_would_do():
    with pytest.raises(EncodeError, match=r"Thing at \$\.a\[0\]: use plain .* dataclasses"):
        CODEC.encode({"a": [Thing()]})


@dataclass
class Crate:
    things: Any


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Thing(), "$"),
        ({"a": [1, Thing()]}, "$.a[1]"),
        ({"a": (1, {"b": Thing()})}, "$.a[1].b"),
        (Crate([Item("x"), Thing()]), "$.things[1]"),
        (attrs.make_class("Box", ["content"])([Thing()]), "$.content[0]"),
        ([Item("x", parent=Thing())], "$[0].parent"),  # pyright: ignore[reportArgumentType]
        ({"a": {"b": math.nan}}, "$.a.b"),
        ({1: Thing()}, "$[1]"),
    ],
    ids=repr,
)
def test_the_error_leads_to_the_part_that_cannot_be_stored(value, path):
    with pytest.raises(EncodeError) as caught:
        CODEC.encode(value)

    assert caught.value.path == path
    assert path == "$" or f"at {path}: " in str(caught.value)


def test_a_value_that_contains_itself_is_an_encode_error():
    value: list[Any] = []
    value.append({"again": value})

    with pytest.raises(EncodeError, match=r"it contains itself, at \$\.a\[0\]\.again$"):
        CODEC.encode({"b": 1, "a": value})


# Annotations that msgspec refuses as a whole


@dataclass
class Card:
    number: str


@dataclass
class Transfer:
    iban: str
    days: int = 1


@dataclass
class Payment:
    by: Card | Transfer
    amount: Decimal
    notes: tuple[Card | Transfer, ...] = ()


class Wish(msgspec.Struct):
    by: Card | Transfer
    mixed: "Mixed"


class Mixed(Enum):
    NONE = 0
    WORD = "w"
    HALF = 0.5


Basket = attrs.make_class(
    "Basket", {"by": attrs.field(type=Card | Transfer), "count": attrs.field(default=1, type=int)}
)
Number = NewType("Number", int)


class Names(list[str]):
    pass


class Index(dict[str, int]):
    pass


class OrderId(str):
    def __str__(self) -> str:
        return "shown otherwise"


class Cents(int):
    def __repr__(self) -> str:
        return f"{int(self)} cents"


class Ratio(float):
    pass


@pytest.mark.parametrize(
    ("value", "type"),
    [
        (Card("1"), Card | Transfer),
        (Transfer("DE1"), Card | Transfer),
        ([Transfer("DE1", 2), Card("1")], list[Card | Transfer]),
        ({"a": Transfer("DE1")}, dict[str, Card | Transfer]),
        ((1, Transfer("DE1")), tuple[int, Card | Transfer]),
        ((Card("1"), Card("2")), tuple[Card | Transfer, ...]),
        (Payment(Transfer("DE1"), Decimal("1.5"), (Card("1"),)), Payment),
        (Wish(Card("1"), Mixed.HALF), Wish),
        (Basket(Transfer("DE1"), 3), Basket),
        (Payment(Card("1"), Decimal(1)), Payment | Item),
        (None, Card | Transfer | None),
        (Mixed.HALF, Mixed),
        (Mixed.WORD, Mixed | None),
        ({Mixed.WORD: 1}, dict[Mixed, int]),
        ("2026-01-02", str | date),
        (date(2026, 1, 2), date | int),
        (Transfer("DE1"), Annotated[Card | Transfer, "way"]),
        (Transfer("DE1"), NewType("Way", Transfer)),
        (5, Number),
        (deque([1, 2]), deque),
        (deque([Item("a")]), deque[Item]),
        (deque([Item("a")]), typing.Deque[Item]),  # noqa: UP006  # users write it
        ([deque([Transfer("DE1")])], list[deque[Card | Transfer]]),
        (OrderedDict(b=1, a=2), OrderedDict),
        (OrderedDict(a=Item("x")), OrderedDict[str, Item]),
        (OrderedDict({1: Counter("aab")}), OrderedDict[int, Counter[str]]),
        (Counter("aab"), Counter),
        (Counter([1, 1, 2]), Counter[int]),
        (Counter("aab"), Counter[str] | None),
        (defaultdict(list, a=[1]), defaultdict),
        (defaultdict(list, a=[Item("x")]), defaultdict[str, list[Item]]),
        (Names(["a"]), Names),
        (Index(a=1), Index),
        (OrderId("A-1"), OrderId),
        ({"ids": [OrderId("A-1")]}, dict[str, list[OrderId]]),
        (Cents(5), Cents),
        (Ratio(0.5), Ratio),
        (Fraction(1, 3), Fraction),
        ([Fraction(1, 3)], list[Fraction]),
        (Fraction(1, 3), Fraction | Card),
        (IPv4Address("10.0.0.1"), IPv4Address),
        (ZoneInfo("Europe/Berlin"), ZoneInfo),
    ],
    ids=repr,
)
@pytest.mark.parametrize("way", ["decode", "convert"])
def test_what_msgspec_does_not_take_comes_back_as_well(value, type, way):
    back = round_trip(value, type) if way == "decode" else CODEC.convert(round_trip(value), type)

    assert back == value
    assert back.__class__ is value.__class__


@pytest.mark.parametrize(
    ("annotation", "empty"), [(list[int], []), (dict[str, int], {}), (int, 0), (Item, None)]
)
def test_gaps_of_a_dictionary_are_filled_as_its_annotation_says(annotation: Any, empty: Any):
    back = CODEC.convert({}, defaultdict[str, annotation])

    if empty is None:
        with pytest.raises(KeyError):
            back["a"]
    else:
        assert back["a"] == empty


@pytest.mark.parametrize(
    ("value", "type", "path"),
    [
        ({"a": "b"}, Counter[str], "$[...]"),
        ({"c": {"a": [1, "2"]}}, dict[str, OrderedDict[str, deque[int]]], "$[...][...][1]"),
        ([1], Index, "$"),
        ("a", Cents, "$"),
        ({"x": 1}, Card | Transfer, "$"),
        ([{"number": "1"}, 3], list[Card | Transfer], "$[1]"),
        ({"by": {"number": 7}, "amount": "1"}, Payment, "$.by"),
        ({"by": {"number": "7"}, "amount": "1", "notes": [1]}, Payment, "$.notes[0]"),
        ({"by": {"number": "7"}}, Payment, "$"),
        ({"by": {"number": "7"}, "amount": []}, Payment, "$.amount"),
        ("nothing", Mixed, "$"),
        ([1], tuple[int, Card | Transfer], "$"),
        (3, list[Card | Transfer], "$"),
    ],
    ids=repr,
)
def test_what_fits_no_member_of_a_union_is_refused_with_its_place(value, type, path):
    with pytest.raises(DecodeError) as caught:
        CODEC.convert(value, type)
    assert caught.value.path == path
    assert f"`{path}`" in str(caught.value)


# Types of the program's own


class Money:
    def __init__(self, cents):
        self.cents = cents

    def __eq__(self, other):
        return isinstance(other, Money) and other.cents == self.cents

    __hash__ = None  # pyright: ignore[reportAssignmentType]


def test_a_registered_type_is_stored_as_the_program_says_and_comes_back():
    codec = Codec()
    codec.register(Money, encode=lambda money: money.cents, decode=Money)

    value = codec.encode({"prices": [Money(5)]})

    assert codec.decode(value) == {"prices": [5]}
    assert codec.decode(value, dict[str, list[Money]]) == {"prices": [Money(5)]}
    assert codec.decode(codec.encode(Money(1)), Money | None) == Money(1)
    with pytest.raises(EncodeError):
        CODEC.encode(Money(1))


@pytest.mark.parametrize("cls", [int, Invoice, Item, Color, datetime, dict])
def test_a_type_that_has_a_form_cannot_be_given_another(cls):
    with pytest.raises(UsageError, match="has a stored form already"):
        Codec().register(cls, encode=str, decode=cls)


# Encryption


class Turned:
    """Turns bytes around by a key: enough to see whether they were."""

    name = "turned"

    def __init__(self, key: int) -> None:
        self.key = key

    def encrypt(self, plain, headers):
        headers["key"] = str(self.key)
        return bytes((byte + self.key) % 256 for byte in plain)

    def decrypt(self, cipher, headers):
        if headers["key"] != str(self.key):
            raise LookupError(f"no key {headers['key']}")
        return bytes((byte - self.key) % 256 for byte in cipher)


def test_encrypted_values_come_back_and_are_unreadable_on_the_way():
    codec = Codec(Turned(7))

    value = codec.encode(INVOICE)

    assert value.headers == {"resonate:enc": "turned", "key": "7"}
    assert b"tea" not in base64.b64decode(value.data or "")
    assert codec.decode(value, Invoice) == INVOICE
    assert codec.decode(codec.encode_json('{"a": 1}')) == {"a": 1}
    assert codec.encode(None) == EMPTY


def test_what_was_written_without_encryption_can_be_read_with_it():
    assert Codec(Turned(7)).decode(CODEC.encode([1])) == [1]


@pytest.mark.parametrize("codec", [CODEC, Codec(Turned(8))], ids=["no key", "another key"])
def test_who_has_no_key_reads_an_error_and_no_garbage(codec):
    value = Codec(Turned(7)).encode({"secret": 1})

    with pytest.raises(DecodeError, match=r"encrypted|cannot be decrypted"):
        codec.decode(value)


def test_what_was_encrypted_in_another_way_is_not_decrypted_in_this_one():
    class Otherwise(Turned):
        name = "otherwise"

    value = Codec(Turned(7)).encode({"secret": 1})

    with pytest.raises(DecodeError, match="encrypted by 'turned': give that encryptor"):
        Codec(Otherwise(7)).decode(value)


def test_a_value_has_at_most_one_mebibyte_when_it_is_stored():
    fits = "x" * (1024 * 1024 * 3 // 4 - 2)
    encoded = CODEC.encode(fits)

    assert encoded.size_bytes() == 1024 * 1024
    with pytest.raises(EncodeError, match=r"1048580 bytes .*, the limit is 1048576"):
        CODEC.encode(fits + "x")


# JSON text that is stored as it is


def test_json_text_is_stored_as_it_is():
    assert CODEC.encode_json('{"b": 1}') == stored('{"b": 1}')
    assert CODEC.decode(CODEC.encode_json("1")) == 1


@pytest.mark.parametrize("text", ["", "hello", "{", "NaN", "'1'"])
def test_what_is_no_json_text_is_refused(text):
    with pytest.raises(EncodeError, match="data= is JSON text"):
        CODEC.encode_json(text)


def test_json_text_is_bound_by_the_same_limit():
    with pytest.raises(EncodeError, match="the limit is 1048576"):
        CODEC.encode_json(f'"{"x" * 1024 * 1024}"')
