"""Promises at the instants of a calendar, under the names that programs import."""

from resonate_sdk.client.schedules import Schedule, Schedules

__all__ = ["Schedule", "Schedules"]
