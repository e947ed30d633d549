import pytest

from resonate_broker.kernel.submissions import Failed, ReadTriggers
from resonate_broker.operations.trigger_get import trigger_get
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.requests import TriggerGet
from resonate_sdk.protocol.responses import Answer, TriggerData
from tests.unit.broker.builders import make_trigger


def get(id: str, found: tuple[TriggerRecord, ...] | Failed) -> Answer:
    body = trigger_get(TriggerGet(id=id))
    assert body.send(None) == ReadTriggers()
    with pytest.raises(StopIteration) as stop:
        body.send(found)
    return stop.value.value


def test_a_trigger_is_found_by_its_id():
    wanted = make_trigger("b")

    assert get("b", (make_trigger("a"), wanted)) == Answer(200, TriggerData(trigger=wanted))


def test_a_trigger_that_does_not_exist_is_answered_404():
    assert get("c", (make_trigger("a"),)).status == 404


def test_without_a_database_it_is_asked_for_again():
    assert get("a", Failed("no connection")).status == 503
