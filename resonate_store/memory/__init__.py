"""Promises in the memory of one process."""

from resonate_store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
