"""Rules of style that no linter checks."""

import inspect
import re
from pathlib import Path
from typing import get_origin

import pytest

import resonate_sdk
from tests.repository.sources import PACKAGES, ROOT, modules_of

LINES_MAX = 600
SLEEP = re.compile(r"(?<![\w.])sleep\(|\b(?:time|asyncio|anyio|trio)\.sleep\(")
# Modules that may sleep, and why. `ctx.sleep(` is a word of the SDK and no sleep of the test.
SLEEP_ALLOWED = {
    "tests/integration/amqp/limited_worker.py": "its work takes time, or nobody would share places",
    "tests/processes.py": "asks the operating system until something is so",
    "tests/unit/sdk/virtual_time.py": "in virtual time a sleep is over at once",
}


@pytest.mark.parametrize("module", [*modules_of(*PACKAGES)], ids=str)
def test_no_module_is_longer_than_600_lines(module: Path):
    assert len((ROOT / module).read_text().splitlines()) <= LINES_MAX


@pytest.mark.parametrize("module", [*modules_of("tests")], ids=str)
def test_no_test_sleeps(module: Path):
    lines = (ROOT / module).read_text().splitlines()

    may_sleep = module.as_posix().startswith(tuple(SLEEP_ALLOWED))
    assert may_sleep or not list(filter(SLEEP.search, lines))


@pytest.mark.parametrize("name", resonate_sdk.__all__)
def test_every_public_name_is_documented(name: str):
    documented = getattr(resonate_sdk, name)
    if get_origin(documented) is not None:
        return  # an alias of a type cannot carry a docstring

    own = vars(documented).get("__doc__") if inspect.isclass(documented) else documented.__doc__
    assert own, f"resonate_sdk.{name} has no docstring"


@pytest.mark.parametrize(
    "module",
    [
        *modules_of("resonate_broker/kernel", "resonate_broker/operations"),
        *modules_of("resonate_broker/background", "resonate_sdk/protocol"),
    ],
    ids=str,
)
def test_every_module_of_the_core_says_what_it_is_for(module: Path):
    assert (ROOT / module).read_text().startswith('"""')


CLOCKS = re.compile(r"\b(time\.time|monotonic|perf_counter|datetime\.now|random\.|uuid4)\b")


@pytest.mark.parametrize(
    "module",
    [
        *modules_of("resonate_broker/kernel", "resonate_broker/operations"),
        *modules_of("resonate_broker/background", "resonate_sdk/protocol"),
        Path("resonate_broker/rules.py"),
        Path("resonate_store/state.py"),
    ],
    ids=str,
)
def test_the_core_reads_no_clock_and_draws_no_random_number(module: Path):
    assert CLOCKS.findall((ROOT / module).read_text()) == []
