"""Threads that a program does not wait for at its end."""

import asyncio
import threading
from contextlib import contextmanager

import pytest

from resonate_sdk.worker.threads import DaemonThreads

WAIT_S = 20.0


@contextmanager
def threads_of(count):
    threads = DaemonThreads(count, "test")
    yield threads
    threads.shutdown()


async def within(future):
    async with asyncio.timeout(WAIT_S):
        return await future


async def test_calls_run_beside_each_other_up_to_the_number_of_threads():
    meeting = threading.Barrier(2, timeout=WAIT_S)
    with threads_of(2) as threads:
        futures = [threads.call(meeting.wait) for _ in range(4)]

        assert sorted([await within(future) for future in futures]) == [0, 0, 1, 1]


async def test_a_call_that_takes_long_holds_up_nobody_while_there_are_threads():
    may_end = threading.Event()
    with threads_of(3) as threads:
        long = [threads.call(may_end.wait, WAIT_S) for _ in range(2)]
        short = [threads.call(str, number) for number in range(50)]

        assert [await within(future) for future in short] == [str(n) for n in range(50)]
        assert not any(future.done() for future in long)
        may_end.set()
        assert [await within(future) for future in long] == [True, True]


async def test_short_calls_share_a_thread_that_is_awake():
    with threads_of(64) as threads:
        names = [await within(threads.call(lambda: threading.current_thread().name))]
        futures = [threads.call(lambda: threading.current_thread().name) for _ in range(500)]
        names += [await within(future) for future in futures]

    assert len(set(names)) < 64


async def test_the_end_of_the_program_does_not_wait_for_them():
    with threads_of(1) as threads:
        assert (await within(threads.call(threading.current_thread))).daemon


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ValueError("no")])
async def test_an_error_of_any_kind_is_the_result_and_not_the_end_of_the_thread(error):
    def leave():
        raise error

    with threads_of(1) as threads:
        failed = threads.call(leave)
        assert await within(threads.call(str, 7)) == "7"
        assert failed.exception() is error


async def test_an_error_that_no_future_can_carry_is_told_as_another_one():
    with threads_of(1) as threads, pytest.raises(RuntimeError, match="raised StopIteration"):
        await within(threads.call(next, iter(())))


async def test_what_a_function_tells_is_known_before_its_end():
    heard = []
    with threads_of(8) as threads:

        def work(number):
            threads.tell(heard.append, number)
            return number

        futures = [threads.call(work, number) for number in range(200)]
        for future in futures:
            future.add_done_callback(lambda done: heard.append(-done.result() - 1))
        await within(asyncio.wait(futures))

    for number in range(200):
        assert heard.index(number) < heard.index(-number - 1)


async def test_a_call_that_nobody_waits_for_any_more_is_not_begun():
    begun, may_end, called = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        may_end.wait(WAIT_S)

    with threads_of(1) as threads:
        running, cancelled = threads.call(work), threads.call(called.append, 1)
        await asyncio.to_thread(begun.wait, WAIT_S)
        cancelled.cancel()
        may_end.set()
        await within(running)
        await within(threads.call(str))

    assert called == []


async def test_a_shutdown_waits_for_nothing_and_cancels_what_has_not_begun():
    begun, may_end = threading.Event(), threading.Event()

    def work():
        begun.set()
        return may_end.wait(WAIT_S)

    threads = DaemonThreads(1, "test")
    running, waiting = threads.call(work), threads.call(str)
    await asyncio.to_thread(begun.wait, WAIT_S)
    threads.shutdown()

    assert waiting.cancelled()
    may_end.set()
    assert await within(running) is True
    with pytest.raises(RuntimeError, match="shut down"):
        threads.call(str)


async def test_what_is_told_arrives_although_something_before_it_fails():
    has_arrived = asyncio.Event()
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: failures.append(told))

    def fail() -> None:
        raise ValueError("no")

    with threads_of(1) as threads:
        await within(threads.call(str))
        for callback in (fail, fail, has_arrived.set):
            threads.tell(callback)
        await within(has_arrived.wait())

    assert len(failures) == 2
