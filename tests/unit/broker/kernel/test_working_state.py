from typing import Any

import pytest
from msgspec.structs import replace

from resonate_broker.kernel.submissions import Outgoing
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol import tags
from resonate_store.state import (
    Callback,
    Changes,
    Listener,
    Loaded,
    LoadSet,
    Promise,
    Timer,
)
from tests.unit.broker.builders import (
    NOW,
    make_news,
    make_outgoing,
    make_promise,
    make_state,
    make_targeted,
)

ADDRESS = "amqp://uni@c/1"


def settled(promise: Promise) -> Promise:
    return replace(promise, state="resolved", settled_at_ms=1)


def test_a_state_that_nobody_changed_writes_nothing():
    state = make_state(make_promise("a"), settling=["a"], callbacks=[Callback("a", "w")])

    assert state.changes() == Changes()
    assert not state.changes()


def test_a_new_promise_is_created_and_a_stored_one_updated():
    stored = make_promise("b")
    state = make_state(stored, named=["a"])

    state.put(make_promise("a"))
    state.put(settled(stored))

    assert state.changes().created == (make_promise("a"),)
    assert state.changes().updated == (settled(stored),)


def test_a_promise_that_changed_twice_is_written_once_as_it_is_in_the_end():
    state = make_state(named=["a"])

    state.put(make_promise("a"))
    state.put(settled(make_promise("a")))

    assert state.changes().created == (settled(make_promise("a")),)
    assert state.changes().updated == ()


def test_what_is_written_is_sorted():
    stored = [make_promise(id) for id in ("d", "c")]
    state = make_state(*stored, named=["b", "a"])
    for id in "bdac":
        state.put(settled(state.promise(id) or make_promise(id)))

    assert [promise.id for promise in state.changes().created] == ["a", "b"]
    assert [promise.id for promise in state.changes().updated] == ["c", "d"]


def test_a_promise_that_was_not_loaded_cannot_be_created():
    state = make_state(named=["a"])

    with pytest.raises(AssertionError):
        state.put(make_promise("another"))


def test_absence_is_only_known_of_what_was_named():
    state = make_state(named=["a"])

    assert (state.is_named("a"), state.is_named("b")) == (True, False)


def test_take_changed_gives_each_promise_as_it_was_before_and_forgets():
    stored = make_promise("b")
    state = make_state(stored, named=["a"])
    state.put(make_promise("a"))
    state.put(settled(stored))
    state.put(settled(make_promise("a")))

    changed = state.take_changed()

    assert changed == {"a": None, "b": stored}
    assert state.take_changed() == {}


def test_a_callback_is_added_once():
    state = make_state(
        make_promise("a"), make_targeted("w"), settling=["a"], callbacks=[Callback("a", "w")]
    )

    state.add_callback("a", "w")
    state.add_callback("a", "v")
    state.add_callback("a", "v")

    assert state.callbacks("a") == ("w", "v")
    assert state.changes().callbacks_added == (Callback("a", "v"),)


def test_a_callback_on_a_promise_whose_callbacks_were_not_loaded_is_written():
    state = make_state(make_promise("a"))

    state.add_callback("a", "w")

    assert state.callbacks("a") == ()
    assert state.changes().callbacks_added == (Callback("a", "w"),)


def test_a_stored_callback_that_was_consumed_is_removed():
    state = make_state(make_promise("a"), settling=["a"], callbacks=[Callback("a", "w")])

    state.consume_callback("a", "w")

    assert state.callbacks("a") == ()
    assert state.changes().callbacks_consumed == (Callback("a", "w"),)


def test_a_callback_that_was_added_and_consumed_leaves_no_trace():
    state = make_state(make_promise("a"), settling=["a"])

    state.add_callback("a", "w")
    state.consume_callback("a", "w")

    assert state.changes() == Changes()


def test_a_listener_is_added_once():
    state = make_state(make_promise("a"), settling=["a"], listeners=[Listener("a", ADDRESS)])

    state.add_listener("a", ADDRESS)
    state.add_listener("a", "amqp://any@c")

    assert state.listeners("a") == ("amqp://any@c", ADDRESS)  # sorted
    assert state.changes().listeners_added == (Listener("a", "amqp://any@c"),)


def test_obligations_are_unknown_unless_they_were_loaded():
    state = make_state(make_promise("a"), make_promise("b"), settling=["b"])

    assert state.has_obligations("a") is None
    assert state.has_obligations("b") is False


@pytest.mark.parametrize(
    ("callbacks", "listeners"),
    [([Callback("a", "w")], []), ([], [Listener("a", ADDRESS)])],
)
def test_a_promise_that_somebody_waits_for_has_obligations(
    callbacks: list[Callback], listeners: list[Listener]
):
    state = make_state(make_promise("a"), settling=["a"], callbacks=callbacks, listeners=listeners)

    assert state.has_obligations("a") is True


def test_a_newborn_has_no_obligations_and_that_is_known():
    state = make_state(named=["a"])

    state.put(make_promise("a"))

    assert state.has_obligations("a") is False


def test_a_timer_that_is_armed_and_disarmed_leaves_no_trace():
    state = make_state(make_promise("a"))

    state.arm(Timer(5, "a"))
    state.disarm(Timer(5, "a"))
    state.disarm(Timer(7, "a"))
    state.arm(Timer(7, "a"))

    assert state.changes() == Changes()


def test_a_moved_timer_is_removed_and_added():
    state = make_state(make_promise("a"))

    state.disarm(Timer(5, "a"))
    state.arm(Timer(7, "a"))

    assert state.changes().timers_disarmed == (Timer(5, "a"),)
    assert state.changes().timers_armed == (Timer(7, "a"),)
    assert state.armed == (Timer(7, "a"),)


def test_hints_are_counted_by_group_and_news_are_not_hints():
    state = make_state(make_promise("p", state="resolved"))

    state.send(make_outgoing("a"))
    state.send(make_outgoing("b", group="other"))
    state.send(make_outgoing("c"))
    state.send(make_news(make_promise("p", state="resolved"), "amqp://any@g"))

    assert dict(state.hints) == {"g": 2, "other": 1}


def test_messages_go_out_in_the_order_in_which_they_were_sent():
    state = make_state()
    hints = [make_outgoing(id) for id in "cab"]

    for hint in hints:
        state.send(hint)

    assert state.outgoing() == tuple(hints)


def test_news_carry_the_timer_that_the_promise_has_in_the_end():
    promise = make_promise("p", state="resolved")
    state = make_state(promise)
    news = make_news(promise, ADDRESS)

    state.send(news)
    state.put(replace(promise, timer_at_ms=77))

    assert state.outgoing() == (replace(news, timer=Timer(77, "p")),)


def test_listeners_that_were_told_go_with_their_timers():
    promise = make_promise("p", state="resolved")
    timer = Timer(77, "p")
    told: list[Outgoing] = [
        make_news(promise, "amqp://any@z", timer=timer),
        make_news(promise, ADDRESS, timer=timer),
        make_news(promise, ADDRESS),
    ]
    state = make_state()

    state.forget(told)

    assert state.changes().listeners_told == (
        Listener("p", "amqp://any@z"),
        Listener("p", ADDRESS),
    )
    assert state.changes().timers_told == (timer,)


def member(id: str, branch: str, parent: str | None = None, **overrides: Any) -> Promise:
    lineage = {tags.BRANCH: branch} | ({} if parent is None else {tags.PARENT: parent})
    return make_promise(id, tags=lineage, **overrides)


def ids(promises: list[Promise]) -> list[str]:
    return [promise.id for promise in promises]


def test_the_family_of_a_root_without_a_branch_is_empty():
    root = make_promise("r")
    state = make_state(root, preload=["r"], related=[member("r.1", "r")])

    assert state.family(root) == []


def test_a_family_is_the_branch_and_the_remote_children_of_all_in_it():
    root = member("r", "r")
    state = make_state(
        root,
        preload=["r"],
        related=[
            member("r.2", "r", parent="r"),
            member("r.1", "r", parent="r"),
            member("r.3", "r.3", parent="r"),
            member("r.1.1", "r.1.1", parent="r.1"),
        ],
    )

    assert ids(state.family(root)) == ["r.1", "r.1.1", "r.2", "r.3"]


def test_a_family_holds_neither_its_root_nor_other_branches():
    root = member("r", "r")
    state = make_state(root, member("q", "q"), preload=["r"], related=[member("q.1", "q")])

    assert state.family(root) == []


def test_the_children_of_remote_children_are_not_of_the_family():
    root = member("r", "r")
    state = make_state(
        root,
        preload=["r"],
        related=[
            member("r.1", "r.1", parent="r"),
            member("r.1.1", "r.1", parent="r.1"),
            member("r.1.2", "r.1.2", parent="r.1"),
        ],
    )

    assert ids(state.family(root)) == ["r.1"]


def test_a_family_shows_locked_rows_as_they_are_now_and_those_born_in_this_batch():
    root = member("r", "r")
    child = member("r.1", "r")
    state = make_state(root, child, named=["r.2"], preload=["r"], related=[child])

    state.put(settled(child))
    state.put(member("r.2", "r"))

    assert [(promise.id, promise.state) for promise in state.family(root)] == [
        ("r.1", "resolved"),
        ("r.2", "pending"),
    ]


def test_a_strict_family_is_the_branch_alone_with_its_root():
    root = make_promise("r", tags={tags.BRANCH: "r"})
    member = make_promise("r.1", tags={tags.BRANCH: "r", tags.PARENT: "r"})
    called = make_promise("r.2", tags={tags.BRANCH: "r.2", tags.PARENT: "r"})
    load = LoadSet(ids=("r.1",), preload=("r.1",))
    loaded = Loaded(now_ms=NOW, promises=(member,), related=(called, root, member))

    strict, ours = (
        WorkingState(load, loaded, NOW, is_strict=is_strict) for is_strict in (True, False)
    )

    assert [promise.id for promise in strict.family(member)] == ["r"]
    assert [promise.id for promise in ours.family(member)] == ["r.2"]


def test_a_strict_family_has_the_first_promise_of_its_branch_once_that_is_named():
    first = make_promise("r", tags={tags.BRANCH: "r"})
    beside = make_promise("t", tags={tags.BRANCH: "r"})
    loaded = Loaded(now_ms=NOW, promises=(beside,))
    again = Loaded(now_ms=NOW, promises=(first, beside))

    before = WorkingState(LoadSet(ids=("t",), preload=("t",)), loaded, NOW, is_strict=True)
    after = WorkingState(LoadSet(ids=("r", "t"), preload=("t",)), again, NOW, is_strict=True)

    assert (before.first_to_name(beside), before.family(beside)) == ("r", [])
    assert (after.first_to_name(beside), after.family(beside)) == (None, [first])
    assert after.first_to_name(first) is None
