"""The examples in docstrings do what they show."""

import doctest
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

import resonate_sdk
from tests.repository.sources import modules_of

EXAMPLES_MIN = 20


def documented() -> Iterator[Any]:
    """Everything in the package whose docstring has an example."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for path in modules_of("resonate_sdk"):
        name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        if name == "resonate_sdk.__main__" or ">>>" not in path.read_text():
            continue
        module = import_module(name)
        names = {public: getattr(resonate_sdk, public) for public in resonate_sdk.__all__}
        for found in finder.find(module, name, globs={**names, **vars(module)}):
            if found.examples:
                yield pytest.param(found, id=found.name)


DOCUMENTED = list(documented())


@pytest.mark.parametrize("example", DOCUMENTED)
def test_the_example_does_what_it_shows(example: doctest.DocTest, monkeypatch):
    monkeypatch.delenv("RESONATE_URL", raising=False)
    runner = doctest.DocTestRunner(verbose=False)
    said: list[str] = []

    failures = runner.run(example, out=said.append).failed

    assert not failures, "".join(said)


def test_what_people_use_first_has_an_example():
    names = {parameter.id for parameter in DOCUMENTED}

    assert len(DOCUMENTED) >= EXAMPLES_MIN, sorted(names)
    for name in (
        "client.resonate.Resonate",
        "client.calls.Calls.run",
        "client.calls.Calls.rpc",
        "functions.context.Context",
        "functions.function.Function",
        "client.handle.Handle",
        "client.promises.Promises",
        "encoding.codec.Codec",
        "testing.environment.Environment",
        "testing.exploration.explore",
        "testing.fakes.fake",
        "testing.interpreter.inline",
        "debug.replaying.replay",
    ):
        assert f"resonate_sdk.{name}" in names
