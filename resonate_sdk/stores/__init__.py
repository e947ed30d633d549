"""Stores, in the import lines of the first SDKs."""
