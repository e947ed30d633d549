"""Waiting for a result, in threads and in coroutines, as often as one likes."""

import asyncio
import threading
from concurrent.futures import Future
from datetime import timedelta

import pytest

from resonate_sdk import Handle, HandleTimeout, ResonateError, UsageError
from tests.unit.sdk import virtual_time


def make_handle(*, result=None, error=None, is_created=True):
    future, created = Future(), Future()
    if is_created:
        created.set_result(None)
    if error is not None:
        future.set_exception(error)
    elif result is not None:
        future.set_result(result)
    return Handle("order-1", future, created)


# In threads


def test_a_result_is_given_again_and_again():
    handle = make_handle(result=7)

    assert [handle.result(), handle.result(0), handle.result(timedelta(0))] == [7, 7, 7]
    assert handle.done()


def test_an_error_is_raised_again_and_again():
    handle = make_handle(error=LookupError("gone"))

    for _ in range(2):
        with pytest.raises(LookupError, match="gone"):
            handle.result()
    assert handle.done()


@pytest.mark.parametrize("timeout", [0, 0.001, timedelta(milliseconds=1)])
def test_a_wait_that_is_over_says_that_the_execution_goes_on(timeout):
    handle = make_handle()

    with pytest.raises(HandleTimeout, match=r"'order-1' was not settled within .*it goes on"):
        handle.result(timeout)
    assert not handle.done()


def test_after_a_wait_that_was_over_the_result_can_be_waited_for_again():
    handle = make_handle()
    with pytest.raises(HandleTimeout):
        handle.result(0)

    handle.future.set_result(7)

    assert handle.result(0) == 7


def test_a_wait_that_is_over_is_a_timeout_error_and_one_of_ours():
    assert issubclass(HandleTimeout, TimeoutError)
    assert issubclass(HandleTimeout, ResonateError)


def test_a_timeout_error_of_the_function_is_not_taken_for_the_end_of_the_wait():
    handle = make_handle(error=TimeoutError("the function's own"))

    with pytest.raises(TimeoutError, match="the function's own") as caught:
        handle.result(1)
    assert not isinstance(caught.value, HandleTimeout)


def test_a_wait_is_ended_by_the_result():
    handle = make_handle()
    waiting = threading.Event()
    results = []

    def wait():
        waiting.set()
        results.append(handle.result(30))

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(30)
    handle.future.set_result(7)
    thread.join(30)

    assert results == [7]


@pytest.mark.parametrize("timeout", [-1, timedelta(seconds=-1)])
def test_a_negative_wait_is_refused(timeout):
    with pytest.raises(ValueError, match="0 seconds or more"):
        make_handle().result(timeout)


def test_creation_can_be_waited_for():
    handle = make_handle()

    assert handle.created() is handle
    assert handle.created(0) is handle


def test_a_failed_creation_is_raised():
    handle = make_handle(is_created=False)
    handle._created.set_exception(ResonateError("refused"))

    with pytest.raises(ResonateError, match="refused"):
        handle.created()


def test_a_creation_that_takes_long_says_so():
    with pytest.raises(HandleTimeout, match="'order-1' was not created within 0 s"):
        make_handle(is_created=False).created(0)


def test_a_handle_shows_its_id_and_whether_it_is_done():
    assert repr(make_handle()) == "<Handle 'order-1' waiting>"
    assert repr(make_handle(result=1)) == "<Handle 'order-1' done>"


# In coroutines


async def test_a_handle_can_be_awaited():
    handle = make_handle()
    asyncio.get_running_loop().call_soon(handle.future.set_result, 7)

    async with asyncio.timeout(30):
        assert await handle == 7
        assert await handle == 7


async def test_an_awaited_handle_raises_the_error():
    with pytest.raises(LookupError, match="gone"):
        await make_handle(error=LookupError("gone"))


async def test_several_coroutines_may_await_one_handle():
    handle = make_handle()

    async def wait():
        return await handle

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        tasks = [group.create_task(wait()) for _ in range(3)]
        await virtual_time.turn()
        handle.future.set_result(7)

    assert [task.result() for task in tasks] == [7, 7, 7]


async def test_giving_up_an_await_does_not_give_up_the_handle():
    handle = make_handle()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await handle

    assert not handle.done()
    handle.future.set_result(7)
    async with asyncio.timeout(30):
        assert await handle == 7


async def test_one_coroutine_that_gives_up_does_not_disturb_the_others():
    handle = make_handle()

    async def wait():
        return await handle

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        patient, impatient = group.create_task(wait()), group.create_task(wait())
        await virtual_time.turn()
        impatient.cancel()
        await asyncio.wait([impatient])
        handle.future.set_result(7)

    assert patient.result() == 7


async def test_blocking_on_a_running_loop_is_refused_with_what_to_write():
    handle = make_handle(is_created=False)

    for call in (handle.result, handle.created):
        with pytest.raises(UsageError, match=r"would block the running event loop.*await handle"):
            call()


async def test_a_thread_beside_a_running_loop_may_block():
    handle = make_handle(result=7)

    assert await asyncio.to_thread(handle.result) == 7
