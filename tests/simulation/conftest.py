"""A database for the seeds that run on PostgreSQL."""

from collections.abc import Generator

import pytest

from tests.databases import new_database


@pytest.fixture(scope="module")
def module_database(postgres_server: str) -> Generator[str]:
    """One for all tests of this module."""
    with new_database(postgres_server) as url:
        yield url
