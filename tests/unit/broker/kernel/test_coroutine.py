from collections.abc import Generator
from typing import Any

import pytest

from resonate_broker.kernel.coroutine import Coroutine, CoroutineState


def ignore_end(coroutine: Coroutine, error: Exception | None) -> None:
    pass


def echo() -> Generator[Any, Any, Any]:
    """Asks twice, and returns what it was told."""
    first = yield "first question"
    second = yield "second question"
    return (first, second)


def test_a_coroutine_is_created_then_suspended_then_done():
    coroutine = Coroutine(echo, ignore_end)
    states = [coroutine.state]

    coroutine.resume()
    states.append(coroutine.state)
    coroutine.resume("a")
    states.append(coroutine.state)
    coroutine.resume("b")
    states.append(coroutine.state)

    assert states == ["created", "suspended", "suspended", "done"]


def test_a_coroutine_is_running_while_its_body_runs():
    seen: list[CoroutineState] = []

    def body() -> Generator[Any, Any, None]:
        seen.append(coroutine.state)
        yield "a question"

    coroutine = Coroutine(body, ignore_end)

    coroutine.resume()

    assert seen == ["running"]


def test_resume_returns_what_the_body_yields_and_none_at_its_end():
    coroutine = Coroutine(echo, ignore_end)

    submissions = [coroutine.resume(), coroutine.resume("a"), coroutine.resume("b")]

    assert submissions == ["first question", "second question", None]
    assert coroutine.result == ("a", "b")


def test_what_the_body_raises_comes_out_and_ends_the_coroutine():
    def body() -> Generator[Any, Any, None]:
        yield "a question"
        raise ZeroDivisionError

    coroutine = Coroutine(body, ignore_end)
    coroutine.resume()

    with pytest.raises(ZeroDivisionError):
        coroutine.resume("an answer")

    assert coroutine.is_done


def test_a_coroutine_that_has_ended_cannot_be_resumed():
    coroutine = Coroutine(echo, ignore_end)
    coroutine.finish("enough")

    with pytest.raises(AssertionError):
        coroutine.resume()


def test_a_body_that_yields_nothing_is_a_bug():
    def body() -> Generator[Any, Any, None]:
        yield None

    with pytest.raises(AssertionError, match="yields submissions"):
        Coroutine(body, ignore_end).resume()


def test_a_restarted_coroutine_runs_a_fresh_body_from_its_first_line():
    coroutine = Coroutine(echo, ignore_end)
    coroutine.resume()
    coroutine.resume("forgotten")

    coroutine.restart()

    assert coroutine.state == "created"
    assert coroutine.resume() == "first question"
    assert coroutine.resume("a") == "second question"


def test_a_coroutine_that_has_ended_can_start_over():
    coroutine = Coroutine(echo, ignore_end)
    coroutine.finish("enough")

    coroutine.restart()

    assert coroutine.resume() == "first question"


def test_finishing_gives_a_result_and_runs_nothing_of_the_body():
    ran: list[str] = []

    def body() -> Generator[Any, Any, str]:
        yield "a question"
        ran.append("the rest")
        return "its own result"

    coroutine = Coroutine(body, ignore_end)
    coroutine.resume()

    coroutine.finish("another result")

    assert (coroutine.is_done, coroutine.result, ran) == (True, "another result", [])


def test_closing_unwinds_the_body():
    unwound: list[str] = []

    def body() -> Generator[Any, Any, None]:
        try:
            yield "a question"
        finally:
            unwound.append("finally")

    coroutine = Coroutine(body, ignore_end)
    coroutine.resume()

    coroutine.close()

    assert (coroutine.is_done, unwound) == (True, ["finally"])
