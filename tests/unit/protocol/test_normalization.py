"""The edge normalisation of protocol.md §10.3: once, when a request is decoded."""

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from resonate_sdk.protocol import limits, tags
from resonate_sdk.protocol.envelope import Decoded, normalize
from resonate_sdk.protocol.requests import (
    CreateAction,
    PromiseCreate,
    PromiseRegisterListener,
    PromiseSettle,
    Request,
    SettleAction,
    TaskCreate,
    TaskFence,
)
from tests.unit.protocol.wire import decode

EXTERNAL = {tags.EXTERNAL: "true"}


def make_create(**tag: str) -> PromiseCreate:
    named = {f"resonate:{name}": value for name, value in tag.items()}
    return PromiseCreate(id="c", timeout_at_ms=5, tags=named)


def fence(create: PromiseCreate) -> TaskFence:
    return TaskFence(id="t", version=1, action=CreateAction(data=create))


def bare(request: PromiseCreate) -> Request:
    return request


def created(request: Request) -> PromiseCreate:
    match request:
        case PromiseCreate():
            return request
        case TaskFence(action=CreateAction(data=data)) | TaskCreate(action=CreateAction(data=data)):
            return data
        case _:
            raise AssertionError(request)


@pytest.mark.parametrize("wrap", [bare, fence])
@pytest.mark.parametrize(
    ("tag", "is_marked"),
    [
        ({}, True),
        ({"scope": "global"}, True),
        ({"scope": ""}, True),
        ({"scope": "LOCAL"}, True),
        ({"external": "false"}, True),
        ({"branch": "t", "parent": "t"}, True),
        ({"scope": "local"}, False),
        ({"timer": "true"}, False),
        ({"timer": "false"}, False),
        ({"target": "amqp://any@g"}, False),
        ({"target": "amqp://any@g", "scope": "global"}, False),
    ],
)
def test_a_promise_that_others_settle_is_marked_as_external(
    wrap: object, tag: dict[str, str], is_marked: bool
):
    request = make_create(**tag)

    normalized = created(normalize(wrap(request)))  # pyright: ignore[reportCallIssue]  # of two

    expected = {**request.tags, **EXTERNAL} if is_marked else request.tags
    assert normalized.tags == expected


@pytest.mark.parametrize("wrap", [bare, fence])
def test_nothing_else_of_a_creation_is_changed(wrap: object):
    request = make_create()

    normalized = created(normalize(wrap(request)))  # pyright: ignore[reportCallIssue]  # of two

    assert (normalized.id, normalized.timeout_at_ms, normalized.param) == (
        request.id,
        request.timeout_at_ms,
        request.param,
    )


@pytest.mark.parametrize(
    ("target", "stored"),
    [
        ("g", "amqp://any@g"),
        ("poll://g", "amqp://any@g"),
        ("poll://any@g", "amqp://any@g"),
        ("poll://any@g/w1", "amqp://any@g/w1"),
        ("poll://uni@g/w1", "amqp://uni@g/w1"),
        ("amqp://uni@g/w1", "amqp://uni@g/w1"),
    ],
)
def test_a_target_gets_its_one_stored_form(target: str, stored: str):
    create = make_create(target=target)
    taken = TaskCreate(pid="w1", lease_ms=5, action=CreateAction(data=create))

    normalized = [created(normalize(request)) for request in (create, fence(create), taken)]

    assert [request.tags[tags.TARGET] for request in normalized] == [stored] * 3


def test_a_listener_gets_its_one_stored_form():
    request = PromiseRegisterListener(awaited="p", address="poll://uni@g/w1")

    assert normalize(request) == PromiseRegisterListener(awaited="p", address="amqp://uni@g/w1")


def test_so_does_the_listener_of_a_creation():
    request = replace(make_create(target="g"), listener="poll://uni@g/w1")

    stored = replace(make_create(target="amqp://any@g"), listener="amqp://uni@g/w1")
    assert normalize(request) == stored


def test_a_target_that_is_no_address_is_left_for_the_rule_that_refuses_it():
    request = make_create(target="http://x")

    assert normalize(request) is request


@pytest.mark.parametrize(
    "request_",
    [
        make_create(target="amqp://any@g"),
        replace(make_create(target="amqp://any@g"), listener="amqp://uni@g/w1"),
        make_create(scope="local"),
        make_create(external="true"),
        PromiseSettle(id="p", state="resolved"),
        TaskFence(
            id="t",
            version=1,
            action=SettleAction(data=PromiseSettle(id="p", state="resolved")),
        ),
    ],
)
def test_a_request_in_its_stored_form_is_not_copied(request_: Request):
    assert normalize(request_) is request_


def test_what_is_decoded_is_normalised():
    item = decode("promise.create", {"id": "p", "timeoutAt": 5})

    assert isinstance(item, Decoded)
    assert created(item.request).tags == EXTERNAL


@pytest.mark.parametrize("wrap", ["bare", "fenced"])
def test_a_creation_with_as_many_tags_as_allowed_is_marked_all_the_same(wrap: str):
    create = {"id": "c", "timeoutAt": 5, "tags": {f"k{n}": "" for n in range(limits.TAGS_MAX)}}
    action = {"kind": "promise.create", "data": create}
    item = (
        decode("promise.create", create)
        if wrap == "bare"
        else decode("task.fence", {"id": "t", "version": 1, "action": action})
    )

    assert isinstance(item, Decoded)
    assert created(item.request).tags[tags.EXTERNAL] == "true"


@settings(derandomize=True, max_examples=200)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "target": st.sampled_from(["g", "poll://uni@g/w", "amqp://any@g", "http://x", ""]),
            "timer": st.sampled_from(["true", "false"]),
            "scope": st.sampled_from(["local", "global"]),
            "external": st.sampled_from(["true", "false"]),
            "colour": st.just("red"),
        },
    )
)
def test_normalising_twice_is_as_normalising_once(tag: dict[str, str]):
    once = normalize(make_create(**tag))

    assert normalize(once) == once
