"""A server inside the process, in the spelling of the first SDKs."""

from resonate_sdk.local import LocalServer

LocalStore = LocalServer

__all__ = ["LocalServer", "LocalStore"]
