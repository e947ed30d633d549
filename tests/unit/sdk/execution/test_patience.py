"""The grace of coroutines that wait for something that only their loop knows."""

from resonate_sdk.execution.effects import StartTimer, TimerFired
from resonate_sdk.execution.outbox import Outbox
from resonate_sdk.execution.patience import SUSPEND_GRACE_S, Patience


def asked(patience: Patience, outbox: Outbox) -> TimerFired:
    """The end of the grace that is asked for."""
    patience.ask()
    (effect,) = outbox.take()
    assert isinstance(effect, StartTimer)
    assert effect.delay_s == SUSPEND_GRACE_S
    return TimerFired(effect.number)


def test_a_grace_in_which_nothing_moves_is_over_at_its_end():
    outbox = Outbox()
    patience = Patience(outbox)
    assert not patience.is_over

    end = asked(patience, outbox)
    assert (patience.is_asked, patience.is_over) == (True, False)

    assert patience.ends_by(end)
    assert (patience.is_asked, patience.is_over) == (False, True)


def test_a_grace_in_which_something_moves_is_followed_by_another():
    outbox = Outbox()
    patience = Patience(outbox)
    end = asked(patience, outbox)

    assert not patience.ends_by("something moves")
    assert patience.ends_by(end)
    assert (patience.is_asked, patience.is_over) == (False, False)

    assert patience.ends_by(asked(patience, outbox))
    assert patience.is_over


def test_what_moves_after_a_grace_is_given_one_of_its_own():
    outbox = Outbox()
    patience = Patience(outbox)
    patience.ends_by(asked(patience, outbox))

    patience.ends_by("something moves")

    assert not patience.is_over
