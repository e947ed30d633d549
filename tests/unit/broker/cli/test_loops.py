import asyncio
import threading

import pytest

from resonate_broker.cli.loops import run_fast, run_impatiently


async def on_a_thread(function, *arguments):
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


@pytest.mark.parametrize("run", [run_fast, run_impatiently])
def test_what_runs_gives_its_result(run):
    assert run(on_a_thread(int, "7")) == 7


@pytest.mark.parametrize("run", [run_fast, run_impatiently])
def test_an_error_on_a_thread_arrives(run):
    with pytest.raises(ValueError, match="seven"):
        run(on_a_thread(int, "seven"))


def test_a_thread_that_hangs_is_left_behind():
    is_over = threading.Event()

    async def give_up() -> None:
        async with asyncio.timeout(0):
            await on_a_thread(is_over.wait)

    with pytest.raises(TimeoutError):
        run_impatiently(give_up())

    assert any(thread.daemon for thread in threading.enumerate())
    is_over.set()
