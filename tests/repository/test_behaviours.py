"""The index of what the SDK does: each line of it names tests that exist."""

import re

from tests.repository.sources import ROOT, functions_in

INDEX = ROOT / "tests" / "BEHAVIOURS.md"
INTRODUCTION = 5  # the lines before the first section
BEHAVIOUR = re.compile(r"\* [A-Z`].+\.")
PROOF = re.compile(r"  `([\w/]+\.py)`: (`test_\w+`(?:, `test_\w+`)*)")


def lines() -> list[str]:
    return INDEX.read_text().splitlines()[INTRODUCTION:]


def test_each_behaviour_is_told_once_and_has_proofs():
    told = [line for line in lines() if BEHAVIOUR.fullmatch(line)]
    followed = {line for line, next in zip(lines(), lines()[1:], strict=False) if PROOF.match(next)}

    assert len(set(told)) == len(told) > 100
    assert set(told) <= followed


def test_there_are_no_other_lines():
    others = [line for line in lines() if line and not BEHAVIOUR.fullmatch(line)]

    assert [
        line for line in others if not line.startswith("## ") and not PROOF.fullmatch(line)
    ] == []


def test_the_tests_that_prove_them_exist():
    missing = [
        f"{module}::{name}"
        for module, names in PROOF.findall(INDEX.read_text())
        for name in re.findall(r"\w+", names)
        if name not in functions_in(f"tests/{module}")
    ]

    assert missing == []
