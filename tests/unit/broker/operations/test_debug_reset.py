import pytest

from resonate_broker.kernel.submissions import Commit, Failed, Load, Reset
from resonate_broker.operations.debug_reset import debug_reset
from resonate_sdk.protocol.requests import DebugReset
from tests.unit.broker.builders import make_state


@pytest.mark.parametrize(("completion", "status"), [(None, 200), (Failed("locked"), 503)])
def test_everything_is_deleted_or_the_reason_is_told(completion: Failed | None, status: int):
    body = debug_reset(DebugReset())
    assert [body.send(None), body.send(make_state())] == [Load(), Commit()]
    assert body.send(None) == Reset()

    with pytest.raises(StopIteration) as stop:
        body.send(completion)

    assert stop.value.value.status == status
