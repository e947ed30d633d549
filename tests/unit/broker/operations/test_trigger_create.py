import pytest

from resonate_broker.kernel.submissions import CreateTrigger, Failed, TriggerRefused
from resonate_broker.operations.trigger_create import trigger_create
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.requests import TriggerCreate
from resonate_sdk.protocol.responses import Answer, TriggerData
from tests.unit.broker.builders import make_trigger


def answer_to(request: TriggerCreate, created: TriggerRecord | TriggerRefused | Failed) -> Answer:
    """The answer when the broker and the database say this."""
    body = trigger_create(request)
    body.send(None)
    with pytest.raises(StopIteration) as stop:
        body.send(created)
    return stop.value.value


def make_request(
    promise_id: str = "{{.body.id}}",
    *,
    settles: bool = False,
    key: str | None = None,
    priority: str | None = None,
) -> TriggerCreate:
    func, target = (None, None) if settles else ("f", "g")
    return TriggerCreate(
        id="orders",
        exchange="shop",
        routing_key="order.*",
        promise_id=promise_id,
        func=func,
        target=target,
        key=key,
        priority=priority,
    )


def test_the_target_is_stored_in_its_one_form():
    submission = trigger_create(make_request()).send(None)

    assert isinstance(submission, CreateTrigger)
    assert submission.trigger.target == "amqp://any@g"


def test_what_is_stored_is_the_answer():
    stored = make_trigger()

    assert answer_to(make_request(), stored) == Answer(200, TriggerData(trigger=stored))


@pytest.mark.parametrize(
    ("found", "status"), [(TriggerRefused("no exchange"), 409), (Failed("no connection"), 503)]
)
def test_why_there_is_none_is_a_sentence(found: TriggerRefused | Failed, status: int):
    answer = answer_to(make_request(), found)

    assert answer.status == status
    assert found.reason in str(answer.data)


def test_templates_of_keys_and_priorities_are_stored_as_they_are():
    submission = trigger_create(make_request(key="{{.body.shop}}", priority="9")).send(None)

    assert isinstance(submission, CreateTrigger)
    assert (submission.trigger.key, submission.trigger.priority) == ("{{.body.shop}}", "9")


@pytest.mark.parametrize(
    ("key", "priority", "reason"),
    [
        ("{{.payload}}", None, "key: the template '{{.payload}}' has '{{.payload}}'"),
        (None, "{{.body", "priority: the template '{{.body' has"),
        (None, "10", "priority: a priority is a number from 0 to 9, 9 goes first"),
        (None, "high", "found 'high'"),
    ],
)
def test_a_bad_key_or_priority_is_refused_before_anything_is_looked_at(
    key: str | None, priority: str | None, reason: str
):
    with pytest.raises(StopIteration) as stop:
        trigger_create(make_request(key=key, priority=priority)).send(None)

    answer = stop.value.value
    assert answer.status == 400
    assert reason in answer.data


@pytest.mark.parametrize(("key", "priority"), [("k", None), (None, "1")])
def test_events_that_settle_have_no_key_and_no_priority(key: str | None, priority: str | None):
    with pytest.raises(ValueError, match="is for limits of the group"):
        make_request(settles=True, key=key, priority=priority)


@pytest.mark.parametrize("size", [0, 1_025])
def test_a_template_of_a_key_is_no_longer_than_a_tag(size: int):
    with pytest.raises(ValueError, match=f"key has {size} bytes, the limit is 1024"):
        make_request(key="x" * size)


@pytest.mark.parametrize(
    ("template", "reason"),
    [("{{.body.id", "without the other one"), ("order", "all events would be the same execution")],
)
def test_a_bad_template_is_refused_before_anything_is_looked_at(template: str, reason: str):
    with pytest.raises(StopIteration) as stop:
        trigger_create(make_request(template)).send(None)

    answer = stop.value.value
    assert answer.status == 400
    assert reason in answer.data


def test_events_that_settle_may_all_mean_the_same_promise():
    submission = trigger_create(make_request("approval", settles=True)).send(None)

    assert isinstance(submission, CreateTrigger)
    assert submission.trigger.func is None
