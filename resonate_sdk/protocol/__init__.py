"""The wire contract between clients, workers and servers: structs and pure functions.

Standard library and msgspec only, no I/O, no clock: both sides of the wire import it.
"""
