"""Waiting for signals, in a process whose other threads work."""

import signal
import socket
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from functools import partial


@contextmanager
def caught(*numbers: signal.Signals) -> Generator[Callable[[], None]]:
    """Catch signals from now on, and give a function that waits for the first of them.

    Any thread may be given a signal, another one than the main thread in particular when that has
    been stopped and continued. Python's handlers run on the main thread, and only when it goes on:
    while it waits for a lock that is never. So it waits for the byte that the interpreter writes
    at once, on whichever thread.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            for number in numbers:
                signal.signal(number, _take)
            yield partial(wait, reader, numbers)
        finally:
            signal.set_wakeup_fd(before)


def wait(reader: socket.socket, numbers: Collection[int]) -> None:
    """Return when the interpreter has written the number of one of these signals."""
    while not set(reader.recv(1)) & set(numbers):
        pass  # a signal that somebody else has a handler for


def _take(*_: object) -> None:
    """Without a handler the signal would do what the system does with it."""
