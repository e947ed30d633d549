"""Whoever asks why an execution does not end is told what has failed, also without a server."""

import threading

from resonate_sdk import Context, Resonate
from resonate_sdk.debug import explain
from resonate_sdk.retry import Constant

WAIT_S = 30


def test_an_explanation_tells_what_fails():
    begun = threading.Semaphore(0)

    def charge(ctx: Context) -> None:
        begun.release()
        raise ConnectionError("the bank does not answer")

    with Resonate.local() as resonate:
        function = resonate.register(charge, retry_policy=Constant(delay=0.01))
        function.begin_run("id")
        assert begun.acquire(timeout=WAIT_S)
        assert begun.acquire(timeout=WAIT_S)  # what was wrong is told before the next attempt

        told = explain(resonate, "id")

    assert "id failed: ConnectionError: the bank does not answer" in told
