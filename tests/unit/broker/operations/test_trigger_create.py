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


def make_request(promise_id: str = "{{.body.id}}", *, settles: bool = False) -> TriggerCreate:
    func, target = (None, None) if settles else ("f", "g")
    return TriggerCreate(
        id="orders",
        exchange="shop",
        routing_key="order.*",
        promise_id=promise_id,
        func=func,
        target=target,
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
