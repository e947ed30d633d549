"""Every request kind has its operation, and the operation its tests."""

from typing import Any

import pytest

from resonate_broker.operations import register_operations
from resonate_sdk.protocol.requests import KINDS
from resonate_sdk.protocol.responses import DATA
from tests.repository.sources import ROOT

OPERATIONS = ROOT / "resonate_broker" / "operations"
TESTS = ROOT / "tests" / "unit" / "broker" / "operations"


class Registry:
    """Stands where the kernel stands when operations are registered."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def add_on_request(self, kind: str, constructor: Any) -> None:
        assert kind not in self.names
        function = getattr(constructor, "func", constructor)
        self.names[kind] = function.__name__


def registered() -> dict[str, str]:
    """The function that serves each kind."""
    registry = Registry()
    register_operations(
        registry,  # pyright: ignore[reportArgumentType]  # only registers
        partitions=1,
        on_group=lambda group: None,
        tick=lambda at_ms: iter(()),  # pyright: ignore[reportArgumentType]  # is never run
    )
    return registry.names


def file_of(kind: str) -> str:
    return kind.replace(".", "_")


def test_exactly_the_kinds_of_the_wire_contract_are_served():
    assert set(registered()) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_its_struct_its_file_and_its_function_have_one_name(kind: str):
    struct = "".join(part.capitalize() for part in file_of(kind).split("_"))

    assert KINDS[kind].__name__ == struct
    assert registered()[kind] == file_of(kind)
    assert (OPERATIONS / f"{file_of(kind)}.py").is_file()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_has_a_test_module(kind: str):
    assert (TESTS / f"test_{file_of(kind)}.py").is_file()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_says_what_its_answer_carries(kind: str):
    assert kind in DATA


def test_there_is_no_operation_that_nobody_can_ask_for():
    files = {path.stem for path in OPERATIONS.glob("*.py")} - {"__init__"}

    assert files == {file_of(kind) for kind in KINDS}
