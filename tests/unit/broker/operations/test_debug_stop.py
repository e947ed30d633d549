import pytest

from resonate_broker.operations.debug_stop import debug_stop
from resonate_sdk.protocol.requests import DebugStop
from resonate_sdk.protocol.responses import OK, Answer, Nothing
from tests.unit.broker.builders import make_state
from tests.unit.broker.kernel.fakes import Bench


def test_time_passes_again():
    system = Bench().system
    system.is_still = True
    body = debug_stop(DebugStop(), system)
    body.send(None)
    body.send(make_state())

    with pytest.raises(StopIteration) as stop:
        body.send(None)

    assert (stop.value.value, system.is_still) == (Answer(OK, Nothing()), False)
