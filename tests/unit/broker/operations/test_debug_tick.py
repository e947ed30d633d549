import pytest

from resonate_broker.kernel.coroutine import Body
from resonate_broker.kernel.submissions import Commit, Failed, Load
from resonate_broker.operations.debug_tick import debug_tick
from resonate_sdk.protocol.requests import DebugTick
from tests.unit.broker.builders import make_state


@pytest.mark.parametrize(("outcome", "status"), [(None, 200), (Failed("no connection"), 503)])
def test_what_is_due_at_the_instant_is_done_or_the_reason_is_told(
    outcome: Failed | None, status: int
):
    ticked: list[int] = []

    def tick(at_ms: int) -> Body:
        ticked.append(at_ms)
        return (yield "a step")

    body = debug_tick(DebugTick(at_ms=7), tick)
    assert [body.send(None), body.send(make_state())] == [Load(), Commit()]
    assert (body.send(None), ticked) == ("a step", [7])

    with pytest.raises(StopIteration) as stop:
        body.send(outcome)

    assert stop.value.value.status == status
