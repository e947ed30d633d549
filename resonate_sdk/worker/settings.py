"""What a program says of how its executions are run."""

from msgspec import Struct


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """How a process runs executions; a fork of it runs them in the same way.

    Attributes:
        lease_ms: how long a task stays with a process that sends no heartbeat.
        threads: how many functions may run at a time.
        slots: how many executions may be under way at a time.
        overlap: whether bodies may start while their tasks are being acquired.
        poison_attempts: after so many failures in a row, which are not its function's, a task is
            halted.
        cache_size: how many suspended executions may stay in memory.
    """

    lease_ms: int
    threads: int
    slots: int
    overlap: bool = True
    poison_attempts: int = 10
    cache_size: int = 0
