"""The program `resonate`: one module per group of commands, thin; what they share is beside them."""

from resonate_broker.cli.program import main

__all__ = ["main"]
