"""What a batch sends to PostgreSQL."""

import msgspec
from msgspec.structs import replace

from resonate_sdk.protocol.records import Value
from resonate_store.postgres.rows import to_document
from resonate_store.state import Changes
from tests.contract.rows import make_promise, make_task

OLD = make_promise(task=make_task(state="acquired"))
SETTLED = replace(OLD, state="resolved", value=Value(headers={"a": "b"}, data="dmFsdWU="))
VALUE_AT = slice(4, 6)


def document(changes, *stored):
    return msgspec.json.decode(to_document(changes, {promise.id: promise for promise in stored}))


def test_what_has_no_rows_is_left_out():
    assert document(Changes(created=(OLD,))).keys() == {"created"}


def test_a_value_is_written_once():
    (row,) = document(Changes(updated=(SETTLED,)), OLD)["updated"]
    assert row[VALUE_AT] == [{"a": "b"}, "dmFsdWU="]

    later = replace(SETTLED, task=make_task(state="fulfilled"))
    (row,) = document(Changes(updated=(later,)), SETTLED)["updated"]
    assert row[VALUE_AT] == [None, None]
