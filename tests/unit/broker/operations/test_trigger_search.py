import pytest

from resonate_broker.kernel.submissions import Failed, ReadTriggers
from resonate_broker.operations.trigger_search import trigger_search
from resonate_sdk.protocol.records import TriggerRecord
from resonate_sdk.protocol.requests import TriggerSearch
from resonate_sdk.protocol.responses import Answer, TriggerPage
from tests.unit.broker.builders import make_trigger


def search(found: tuple[TriggerRecord, ...] | Failed) -> Answer:
    body = trigger_search(TriggerSearch())
    assert body.send(None) == ReadTriggers()
    with pytest.raises(StopIteration) as stop:
        body.send(found)
    return stop.value.value


def test_all_triggers_are_listed():
    found = (make_trigger("a"), make_trigger("b"))

    assert search(found) == Answer(200, TriggerPage(triggers=found))


def test_without_a_database_it_is_asked_for_again():
    assert search(Failed("no connection")).status == 503
