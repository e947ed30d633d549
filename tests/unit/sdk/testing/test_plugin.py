"""What pytest gets: a fixture, a marker, an option."""

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

def add_one(ctx, n):
    return n + 1

def test_fixture(env):
    env.register(add_one)
    assert env.client().begin_run("id", add_one, 1).result() == 2
    assert env.seed == 7

@pytest.mark.resonate(seed=3, start="2030-01-01T00:00:00+00:00")
def test_marker(env):
    assert (env.seed, env.now.year) == (3, 2030)
"""


def test_the_fixture_the_marker_and_the_option(pytester: pytest.Pytester):
    pytester.makepyfile(TESTS)

    result = pytester.runpytest_subprocess(
        "-p", "resonate_sdk.testing.plugin", "--resonate-seed", "7", "--strict-markers"
    )

    result.assert_outcomes(passed=2)
