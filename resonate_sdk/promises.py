"""Promises outside of executions, under the names that programs import."""

from resonate_sdk.client.promises import PromiseRecord, Promises

__all__ = ["PromiseRecord", "Promises"]
