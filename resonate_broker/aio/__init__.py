"""The kernel's effects: store transactions, and messages to the broker."""
