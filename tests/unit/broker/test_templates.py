from typing import Any

import pytest
from hypothesis import given, strategies as st

from resonate_broker import templates
from resonate_broker.templates import Event, MissingError


def make_event(**fields: Any) -> Event:
    found: dict[str, Any] = {
        "trigger": "orders",
        "message_id": "m-1",
        "correlation_id": None,
        "headers": {"cloudEvents:id": "ce-7", "retries": 3, "x.y": "dotted", "is_test": True},
        "body": b'{"id": 12, "order": {"no": "A/1", "tags": ["x", "y"], "price": 1.5}}',
    }
    return Event(**(found | fields))


@pytest.mark.parametrize(
    ("template", "id"),
    [
        ("{{.trigger}}:{{.message_id}}", "orders:m-1"),
        ("{{.headers.cloudEvents:id}}", "ce-7"),
        ("{{.headers.x.y}}", "dotted"),
        ("{{.headers.retries}}", "3"),
        ("order-{{ .body.id }}", "order-12"),
        ("{{.body.order.no}}", "A/1"),
        ("{{.body.order.tags.1}}", "y"),
        ("{.body}", "{.body}"),
    ],
)
def test_a_template_is_filled_in(template: str, id: str):
    assert templates.render(template, make_event()) == id


def test_a_body_that_is_one_value_is_the_id():
    assert templates.render("{{.body}}", make_event(body=b"42")) == "42"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{.correlation_id}}", "has no {{.correlation_id}}"),
        ("{{.headers.nothing}}", "has no {{.headers.nothing}}"),
        ("{{.body.order.tags.2}}", "has no {{.body.order.tags.2}}"),
        ("{{.body.id.x}}", "has no {{.body.id.x}}"),
        ("{{.body.order}}", "neither text nor a whole number: dict"),
        ("{{.body.order.price}}", "neither text nor a whole number: float"),
        ("{{.headers.is_test}}", "neither text nor a whole number: bool"),
    ],
)
def test_what_an_event_does_not_have_is_named(template: str, reason: str):
    with pytest.raises(MissingError, match=reason.replace("{", r"\{").replace(".", r"\.")):
        templates.render(template, make_event())


def test_a_body_that_is_not_json_has_no_fields():
    with pytest.raises(MissingError, match="not JSON"):
        templates.render("{{.body.id}}", make_event(body=b"<order/>"))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{.body.id", "without the other one"),
        ("id}}", "without the other one"),
        ("{{.payload.id}}", "known are {{.message_id}}"),
        ("{{body.id}}", "known are"),
        ("{{.body.}}", "known are"),
        ("{{.body..id}}", "known are"),
        ("{{.headers}}", "known are"),
        ("{{}}", "known are"),
        ("constant", "all events would be the same execution"),
        ("{{.trigger}}-1", "all events would be the same execution"),
    ],
)
def test_what_is_wrong_with_a_template_is_said(template: str, reason: str):
    assert reason in (templates.fault(template) or "")


def test_a_constant_is_no_fault_where_events_settle():
    assert templates.fault("approval", is_constant_allowed=True) is None


@given(st.text(alphabet="{}. abchelowrd_msgi", max_size=30))
def test_what_has_no_fault_can_be_rendered_or_says_what_is_missing(template: str):
    if templates.fault(template) is not None:
        return
    rendered = None
    try:
        rendered = templates.render(template, make_event())
    except MissingError as error:
        missing = str(error)
    else:
        missing = None
    assert rendered is not None or "{{" in (missing or "")
