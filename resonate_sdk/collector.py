"""Python's collector of cycles, in a process that serves and does nothing else.

What waits for an answer or for the database is alive for a moment only, but the collector looks at
it every 700 objects, and from time to time at all that was ever imported. With 100 calls in flight
that was a quarter of the CPU time of a server, and of a worker.
"""

import gc

ALLOCATIONS = 50_000  # that are not freed, between two looks at what is young


def look_seldom() -> None:
    """Leave alone what is there now, and look at what comes less often than Python does.

    Who has switched the collector off, or made it look even less often, keeps that.
    """
    young, middle, old = gc.get_threshold()
    if young:
        gc.set_threshold(max(young, ALLOCATIONS), middle, old)
    gc.collect()
    gc.freeze()
