"""What a transaction has to write."""

import pytest
from msgspec.structs import replace

from resonate_store.state import Changes

KINDS = Changes.__struct_fields__


def test_nothing_is_to_be_written_without_a_change():
    assert not Changes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_any_kind_alone_is_to_be_written(kind):
    assert replace(Changes(), **{kind: ("a row",)})
