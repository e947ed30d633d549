"""What a transaction of PostgreSQL has read."""

from collections import Counter
from typing import Any, cast

import pytest

from resonate_store.postgres.transaction import Beside, PostgresTransaction


class Row(dict[str, Any]):
    """Cells by name and by place."""

    def __getitem__(self, key: str | int) -> Any:
        return [*self.values()][key] if isinstance(key, int) else super().__getitem__(key)


async def was_committed(xid: int) -> bool:
    raise AssertionError("nothing is committed")


@pytest.mark.parametrize(("read_at_ms", "now_ms"), [(0, 1_000), (2_000, 2_000)])
def test_its_instant_is_not_before_the_last_of_its_reads(read_at_ms: int, now_ms: int):
    nothing = Beside(
        schedules=(), inbox=(), groups=(), troubles=(), related=(), read_at_ms=read_at_ms
    )
    transaction = PostgresTransaction(
        cast(Any, None),
        cast(Any, [Row(kind="end", now_ms=1_000, xid=7)]),
        nothing,
        observe=lambda at_ms: at_ms,
        was_committed=was_committed,
        conflicts=Counter(),
    )

    assert transaction.loaded.now_ms == now_ms
