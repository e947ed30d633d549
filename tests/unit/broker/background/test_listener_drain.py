from resonate_broker.background.listener_drain import forget_listeners
from resonate_broker.kernel.submissions import Commit, Load
from resonate_store.state import Changes, Listener, Timer
from tests.unit.broker.builders import NOW, make_news, make_promise, make_state

SETTLED = make_promise(state="resolved")


def test_told_listeners_are_removed_with_the_timer_that_reminds_of_them():
    told = (
        make_news(SETTLED, "amqp://uni@c/1", timer=Timer(NOW + 5_000, "p")),
        make_news(SETTLED, "amqp://uni@b/1", timer=Timer(NOW + 5_000, "p")),
    )
    body = forget_listeners(told)
    state = make_state()

    load, commit = body.send(None), body.send(state)

    assert (load, commit) == (Load(), Commit())
    assert state.changes() == Changes(
        listeners_told=(Listener("p", "amqp://uni@b/1"), Listener("p", "amqp://uni@c/1")),
        timers_told=(Timer(NOW + 5_000, "p"),),
    )


def test_a_listener_told_twice_is_removed_once():
    news = make_news(SETTLED, "amqp://uni@c/1", timer=Timer(NOW, "p"))
    body = forget_listeners((news, news))
    state = make_state()
    body.send(None)

    body.send(state)

    assert state.changes().listeners_told == (Listener("p", "amqp://uni@c/1"),)


def test_removing_listeners_takes_no_lock():
    body = forget_listeners((make_news(SETTLED, "amqp://uni@c/1"),))

    assert body.send(None).ids == ()
