"""Runs executions: acquires tasks, drives passes, keeps leases."""
