"""Measures the system as a whole, in the processes that a user would run."""
