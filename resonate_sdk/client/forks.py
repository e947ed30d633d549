"""What each process has of its own: after `os.fork` the child has no threads and no connections."""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Own(Generic[T]):
    """Is made once in each process, when that first needs it.

    What a child has copied of its parent is kept and never looked at: to finalise it would touch
    sockets that the parent uses.
    """

    def __init__(self, make: Callable[[T | None], T]) -> None:
        """Make it for this process.

        Args:
            make: is given what the parent had, in a child.
        """
        self._make = make
        self._copied: list[T] = []
        self._lock = threading.Lock()
        self._made = make(None)
        self._process = os.getpid()

    @property
    def is_copied(self) -> bool:
        """Whether there is but a copy of what the parent has."""
        return self._process != os.getpid()

    def get(self) -> T:
        """The one of this process."""
        if self.is_copied:
            with self._lock:
                if self.is_copied:  # no other thread has been here
                    made = self._make(self._made)
                    self._copied.append(self._made)
                    self._made = made
                    self._process = os.getpid()
        return self._made
