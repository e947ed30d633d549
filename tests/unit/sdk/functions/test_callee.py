"""What is known of a function before it runs."""

import functools
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any

import pytest

from resonate_sdk import Workflow
from resonate_sdk.encoding.codec import Codec
from resonate_sdk.errors import DecodeError, UsageError
from resonate_sdk.functions.callee import describe
from tests.unit.sdk import annotated_elsewhere

CODEC = Codec()


@dataclass
class Order:
    number: int
    tags: list[str]


ORDER = Order(7, ["a"])
PLAIN_ORDER = {"number": 7, "tags": ["a"]}


def logged(func):
    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        return func(*args, **kwargs)

    return wrapper


# Signatures


def everything(ctx, a, /, b, c=3, *rest, d, e=5, **others):
    return None


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((1, 2), {"d": 4}), ((1,), {"b": 2, "d": 4}), ((1, 2, 3, 4, 5), {"d": 4, "x": 6})],
)
def test_arguments_that_fit_are_let_through(args, kwargs):
    describe(everything).check_arguments(args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2), {}, "missing a required"),
        ((1, 2), {"b": 2, "d": 4}, "multiple values for argument 'b'"),
    ],
)
def test_arguments_that_do_not_fit_are_named_with_the_function(args, kwargs, message):
    with pytest.raises(UsageError, match=f"everything.*{message}"):
        describe(everything).check_arguments(args, kwargs)


def test_the_context_is_not_an_argument():
    callee = describe(lambda ctx, a: None)

    callee.check_arguments((1,), {})
    with pytest.raises(UsageError, match="too many positional"):
        callee.check_arguments((1, 2), {})


def test_the_context_may_have_any_name_and_annotation():
    def func(whatever: int, a):
        return None

    describe(func).check_arguments((1,), {})


def test_a_function_may_take_the_context_among_all_its_arguments():
    def func(*args):
        return None

    describe(func).check_arguments((1, 2, 3), {})


@pytest.mark.parametrize(
    "func",
    [lambda: None, lambda *, ctx: None, lambda **kwargs: None, functools.partial(lambda a: a, 1)],
    ids=["no parameter", "keyword-only", "keywords", "partial that took it"],
)
def test_a_function_without_a_place_for_the_context_is_refused(func):
    with pytest.raises(UsageError, match="first parameter for the context"):
        describe(func)


@pytest.mark.parametrize("func", [len, print, dict], ids=lambda func: func.__name__)
def test_a_function_that_python_cannot_look_into_is_taken_as_it_is(func):
    callee = describe(func)

    assert callee.name == func.__name__


# What may be a function


class Adder:
    def __call__(self, ctx, a: Order) -> Order:
        return a

    def method(self, ctx, a: Order) -> Order:
        return a

    @staticmethod
    def static(ctx, a: Order) -> Order:
        return a

    @classmethod
    def of_class(cls, ctx, a: Order) -> Order:
        return a


def plain(ctx, a: Order) -> Order:
    return a


def with_extra(ctx, extra, a: Order) -> Order:
    return a


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (plain, "plain"),
        (logged(plain), "plain"),
        (logged(logged(plain)), "plain"),
        (functools.partial(plain), "plain"),
        (functools.partial(logged(with_extra), extra=1), "with_extra"),
        (Adder(), "Adder"),
        (Adder().method, "method"),
        (Adder.static, "static"),
        (Adder.of_class, "of_class"),
    ],
    ids=[
        "function",
        "decorated",
        "decorated twice",
        "partial",
        "partial of decorated",
        "object",
        "method",
        "static method",
        "class method",
    ],
)
def test_names_types_and_arguments_of_all_callables_are_found(func, name):
    callee = describe(func)

    assert callee.name == name
    assert callee.result_type is Order
    assert callee.coerce(CODEC, (), {"a": PLAIN_ORDER})[1].get("a") == ORDER or callee.coerce(
        CODEC, (PLAIN_ORDER,), {}
    )[0] == (ORDER,)
    with pytest.raises(UsageError, match=name):
        callee.check_arguments((), {"nonsense": 1})


@dataclass
class Greeter:
    """Instances of dataclasses have no hash."""

    greeting: str

    def __call__(self, ctx, name):
        return f"{self.greeting} {name}"


def test_a_callable_without_a_hash_can_be_described():
    greeter: Any = Greeter("Hello")

    assert describe(greeter).name == "Greeter"


def gen(ctx, a: Order) -> Workflow[Order]:
    yield ctx.sleep(0)
    return a


@pytest.mark.parametrize(
    "func", [gen, logged(gen), functools.partial(gen), annotated_elsewhere.workflow]
)
def test_generator_functions_are_known_as_such(func):
    assert describe(func).kind == "generator"


@pytest.mark.parametrize("func", [plain, logged(plain), Adder(), lambda ctx: gen(ctx, ORDER)])
def test_other_functions_are_not(func):
    assert describe(func).kind != "generator"


# Result types


@pytest.mark.parametrize(
    ("annotation", "result_type"),
    [
        (int, int),
        (Order | None, Order | None),
        (Workflow[int], int),
        (Generator[Any, Any, Order], Order),
        (Coroutine[Any, Any, Order], Order),
        (Generator, Any),
        (Any, Any),
        (list[Order], list[Order]),
    ],
)
def test_the_result_type_is_unwrapped(annotation, result_type):
    def func(ctx):
        return None

    func.__annotations__["return"] = annotation

    assert describe(func).result_type == result_type


def test_without_an_annotation_the_result_may_be_anything():
    assert describe(lambda ctx: None).result_type is Any


# Arguments that came as JSON


def test_arguments_are_brought_into_their_annotated_types():
    def func(ctx, order: Order, ratio: float, *more: Order, by: dict[int, Order], **named: Order):
        return None

    args, kwargs = describe(func).coerce(
        CODEC, (PLAIN_ORDER, 1, PLAIN_ORDER), {"by": {"3": PLAIN_ORDER}, "x": PLAIN_ORDER}
    )

    assert args == (ORDER, 1.0, ORDER)
    assert type(args[1]) is float
    assert kwargs == {"by": {3: ORDER}, "x": ORDER}


@pytest.mark.parametrize("annotation", [Any, None, object])
def test_arguments_without_a_meaningful_annotation_stay_plain(annotation):
    def func(ctx, a, b):
        return None

    func.__annotations__["b"] = annotation

    assert describe(func).coerce(CODEC, (PLAIN_ORDER, PLAIN_ORDER), {})[0] == (
        PLAIN_ORDER,
        PLAIN_ORDER,
    )


def test_defaults_that_were_not_sent_are_left_alone():
    sentinel = object()

    def func(ctx, a: int = sentinel):  # type: ignore[assignment]
        return None

    assert describe(func).coerce(CODEC, (), {}) == ((), {})


def test_arguments_are_not_changed_in_place():
    given, named = [PLAIN_ORDER], {"b": PLAIN_ORDER}

    def func(ctx, a: Order, b: Order):
        return None

    describe(func).coerce(CODEC, given, named)

    assert given == [PLAIN_ORDER]
    assert named == {"b": PLAIN_ORDER}


@pytest.mark.parametrize(
    ("args", "kwargs", "name"),
    [
        (({"number": "7", "tags": []},), {}, "order"),
        ((), {"order": {"tags": []}}, "order"),
        ((PLAIN_ORDER, "x"), {}, "more"),
        ((PLAIN_ORDER,), {"extra": "x"}, "extra"),
    ],
)
def test_an_argument_that_does_not_fit_is_named_with_function_parameter_and_path(
    args, kwargs, name
):
    def func(ctx, order: Order, *more: int, **others: int):
        return None

    with pytest.raises(DecodeError, match=f"argument '{name}' of func") as caught:
        describe(func).coerce(CODEC, args, kwargs)
    assert caught.value.function == "func"
    assert caught.value.path.startswith(name)


def test_the_path_leads_into_the_argument():
    def func(ctx, order: Order):
        return None

    with pytest.raises(DecodeError, match=r"\$\.tags\[1\]"):
        describe(func).coerce(CODEC, ({"number": 1, "tags": ["a", 2]},), {})


def test_arguments_that_do_not_fit_the_signature_are_a_decode_error():
    """They came from elsewhere: it is not this program that misuses the library."""
    with pytest.raises(DecodeError, match=r"plain.*missing a required argument: 'a'"):
        describe(plain).coerce(CODEC, (), {})


# Annotations that cannot be evaluated


def test_an_annotation_that_cannot_be_evaluated_does_not_prevent_the_description():
    def func(ctx, a):
        return a

    func.__annotations__ |= {"ctx": "Unknown", "a": "AlsoUnknown", "return": "Unknown"}

    assert describe(func).coerce(CODEC, (PLAIN_ORDER,), {})[0] == (PLAIN_ORDER,)


def test_nor_does_it_prevent_the_coercion_of_the_others():
    callee = describe(annotated_elsewhere.leaf)

    (order,), _ = callee.coerce(CODEC, ({"number": 7},), {})

    assert order == annotated_elsewhere.Order(7)
    assert callee.result_type is annotated_elsewhere.Order
    with pytest.raises(DecodeError, match="argument 'count'"):
        callee.coerce(CODEC, ({"number": 7}, "x"), {})


def test_an_annotation_that_fails_when_evaluated_does_not_prevent_the_description():
    def func(ctx, a):
        return a

    func.__annotations__["a"] = "1 / 0"

    assert describe(func).coerce(CODEC, (1,), {})[0] == (1,)
