import pytest

from resonate_broker.kernel.queues import BoundedQueue


def make_queue(*items: str, size_max: int = 3) -> BoundedQueue[str]:
    queue = BoundedQueue[str](size_max)
    for item in items:
        assert queue.try_push(item)
    return queue


def test_items_leave_in_the_order_in_which_they_came():
    queue = make_queue("a", "b", "c")

    assert [queue.pop(), queue.pop(), queue.pop()] == ["a", "b", "c"]


def test_a_full_queue_refuses_and_keeps_what_it_has():
    queue = make_queue("a", "b", "c")

    taken = queue.try_push("d")

    assert not taken
    assert queue.pop_up_to(10) == ["a", "b", "c"]


def test_a_queue_that_was_full_takes_again_after_a_pop():
    queue = make_queue("a", "b", "c")
    queue.pop()

    assert queue.try_push("d")


def test_no_more_is_taken_than_asked_for():
    queue = make_queue("a", "b", "c")

    assert queue.pop_up_to(2) == ["a", "b"]
    assert len(queue) == 1


def test_nothing_is_taken_of_an_empty_queue():
    assert make_queue().pop_up_to(2) == []


def test_room_and_length_add_up_to_the_bound():
    queue = make_queue("a")

    assert (queue.room, len(queue)) == (2, 1)


def test_a_queue_without_room_for_anything_is_a_bug():
    with pytest.raises(AssertionError):
        BoundedQueue[str](0)
