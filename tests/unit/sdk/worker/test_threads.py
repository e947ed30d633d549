"""Threads that a program does not wait for at its end."""

import threading

import pytest

from resonate_sdk.worker.threads import DaemonThreads

WAIT_S = 20.0


def test_calls_run_beside_each_other_up_to_the_number_of_threads():
    threads, meeting = DaemonThreads(2, "test"), threading.Barrier(2, timeout=WAIT_S)

    futures = [threads.submit(meeting.wait) for _ in range(4)]

    assert sorted(future.result(WAIT_S) for future in futures) == [0, 0, 1, 1]
    threads.shutdown()


def test_the_end_of_the_program_does_not_wait_for_them():
    threads = DaemonThreads(1, "test")

    assert threads.submit(threading.current_thread).result(WAIT_S).daemon
    threads.shutdown()


def test_an_error_of_any_kind_is_the_result_and_not_the_end_of_the_thread():
    threads = DaemonThreads(1, "test")

    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        threads.submit(leave).result(WAIT_S)
    assert threads.submit(str, 7).result(WAIT_S) == "7"
    threads.shutdown()


def test_a_shutdown_waits_for_nothing_and_cancels_what_has_not_begun():
    threads, begun, may_end = DaemonThreads(1, "test"), threading.Event(), threading.Event()

    def work():
        begun.set()
        return may_end.wait(WAIT_S)

    running, waiting = threads.submit(work), threads.submit(str)
    assert begun.wait(WAIT_S)
    threads.shutdown(cancel_futures=True)

    assert waiting.cancelled()
    may_end.set()
    assert running.result(WAIT_S) is True
    with pytest.raises(RuntimeError, match="shut down"):
        threads.submit(str)
