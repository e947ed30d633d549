"""Bounded queues between the kernel and the outside."""

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BoundedQueue(Generic[Item]):
    """A first-in, first-out queue that refuses instead of growing."""

    def __init__(self, size_max: int) -> None:
        """Make an empty queue that holds up to `size_max` items."""
        assert size_max > 0, "a queue holds something"
        self._items = deque[Item]()
        self._size_max = size_max

    def try_push(self, item: Item) -> bool:
        """Append, or return False when the queue is full."""
        if len(self._items) >= self._size_max:
            return False
        self._items.append(item)
        return True

    def pop(self) -> Item:
        """Take the oldest item of a queue that is not empty."""
        return self._items.popleft()

    def pop_up_to(self, count_max: int) -> list[Item]:
        """Take the oldest items, no more than `count_max`."""
        return [self._items.popleft() for _ in range(min(count_max, len(self._items)))]

    @property
    def room(self) -> int:
        """How many more items it takes."""
        return self._size_max - len(self._items)

    def __len__(self) -> int:
        """How many items it holds."""
        return len(self._items)
