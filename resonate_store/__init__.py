"""Durable state: promises with their tasks, callbacks, listeners and timers.

Stores know rows, not rules: what to write is decided elsewhere.
"""
