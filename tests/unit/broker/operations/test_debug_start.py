import pytest

from resonate_broker.kernel.submissions import Commit, Load
from resonate_broker.operations.debug_start import debug_start
from resonate_sdk.protocol.requests import DebugStart
from resonate_sdk.protocol.responses import OK, Answer, Nothing
from tests.unit.broker.builders import make_state
from tests.unit.broker.kernel.fakes import Bench


def test_time_stands_still_behind_what_its_sender_asked_for_before():
    system = Bench().system
    body = debug_start(DebugStart(), system)

    assert [body.send(None), body.send(make_state())] == [Load(), Commit()]
    assert not system.is_still
    with pytest.raises(StopIteration) as stop:
        body.send(None)

    assert (stop.value.value, system.is_still) == (Answer(OK, Nothing()), True)
