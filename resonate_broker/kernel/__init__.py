"""The control plane: one thread, cooperative coroutines, submission and completion queues, ticks.

No I/O, no clock, no randomness: instants come in with each tick, effects go out as submissions.
"""
