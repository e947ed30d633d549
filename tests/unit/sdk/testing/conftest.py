"""The kit is tested with its own fixture."""

from resonate_sdk.testing.plugin import env

__all__ = ["env"]
