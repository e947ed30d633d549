"""The server of the published snippets serves the examples as well."""

from tests.acceptance.seeds.conftest import place

__all__ = ["place"]
