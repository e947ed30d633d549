"""How a process that serves is ended."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys, threading
from resonate_sdk import Resonate

resonate = Resonate.local()
main = threading.get_ident()

def is_waiting():
    frame = sys._current_frames()[main]
    waits = 0
    while frame.f_code.co_name == "wait":
        frame, waits = frame.f_back, waits + 1
    return waits > 0 and frame.f_code.co_name == "serve"

def end():
    while not is_waiting():
        pass
    signal.pthread_kill(threading.get_ident(), {number})

threading.Thread(target=end).start()
resonate.serve()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_another_thread_is_given_ends_it(number: signal.Signals):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(number=int(number))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
