import pytest

from resonate_broker.kernel.submissions import EndTrigger, Failed
from resonate_broker.operations.trigger_delete import trigger_delete
from resonate_sdk.protocol.requests import TriggerDelete


@pytest.mark.parametrize(
    ("ended", "status"), [(True, 200), (False, 404), (Failed("no connection"), 503)]
)
def test_a_trigger_ends_if_there_is_one(ended: bool | Failed, status: int):
    body = trigger_delete(TriggerDelete(id="orders"))

    submission = body.send(None)
    with pytest.raises(StopIteration) as stop:
        body.send(ended)

    assert submission == EndTrigger("orders")
    assert stop.value.value.status == status
